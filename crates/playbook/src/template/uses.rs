//! The variables that a template reads.

use gotmpl::parse::{BranchNode, Expr, ListNode, Node, PipeNode, TemplateNode};

/// A variable that a template reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// Its name.
    pub name: String,
    /// The template's line, from 1.
    pub line: usize,
    /// Whether it is printed as it is, so that it must be set.
    pub printed: bool,
}

/// The variables that a list of nodes reads, with `.` the variables themselves or not.
pub(super) fn uses_of_list(list: &ListNode, at_root: bool, uses: &mut Vec<Use>) {
    for node in &list.nodes {
        match node {
            Node::Action(action) => {
                let first = uses.len();
                uses_of_pipe(&action.pipe, at_root, uses);
                let alone = action.pipe.decl.is_empty()
                    && matches!(action.pipe.commands.as_slice(), [command] if command.args.len() == 1);
                if alone && let Some(used) = uses.get_mut(first) {
                    used.printed = true;
                }
            }
            Node::If(branch) => uses_of_branch(branch, at_root, at_root, uses),
            Node::Range(branch) | Node::With(branch) => uses_of_branch(branch, at_root, false, uses),
            Node::List(list) => uses_of_list(list, at_root, uses),
            Node::Template(TemplateNode { pipe: Some(pipe), .. }) => uses_of_pipe(pipe, at_root, uses),
            Node::Text(_) | Node::Template(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
}

fn uses_of_branch(branch: &BranchNode, at_root: bool, body_at_root: bool, uses: &mut Vec<Use>) {
    uses_of_pipe(&branch.pipe, at_root, uses);
    uses_of_list(&branch.body, body_at_root, uses);
    if let Some(otherwise) = &branch.else_body {
        uses_of_list(otherwise, at_root, uses);
    }
}

/// The variables that a pipe reads.
pub(super) fn uses_of_pipe(pipe: &PipeNode, at_root: bool, uses: &mut Vec<Use>) {
    for expression in pipe.commands.iter().flat_map(|command| &command.args) {
        uses_of_expression(expression, at_root, uses);
    }
}

fn uses_of_expression(expression: &Expr, at_root: bool, uses: &mut Vec<Use>) {
    let name = match expression {
        Expr::Field(_, names) if at_root => names.first(),
        Expr::Variable(_, variable, names) if variable.trim_start_matches('$').is_empty() => names.first(),
        Expr::Pipe(_, pipe) => return uses_of_pipe(pipe, at_root, uses),
        Expr::Chain(_, inner, _) => return uses_of_expression(inner, at_root, uses),
        _ => None,
    };
    uses.extend(name.map(|name| Use { name: name.to_string(), line: expression.pos().line, printed: false }));
}
