//! What Go refuses in a template, and the parser here doesn't.
//! Source: <https://pkg.go.dev/text/template>.

use super::mark::{MARK, Marker};
use gotmpl::TemplateError;
use gotmpl::parse::{BranchNode, Expr, ListNode, Node, Parser, PipeNode, Pos, TemplateNode};
use std::collections::BTreeSet;

/// Refuses what has no `end`, and an `end` or `else` that belongs to nothing: the parser would leave out what follows it.
pub(super) fn check_ends(template: &str) -> gotmpl::Result<()> {
    let last_text = format!("{}end{}", MARK[0], MARK[1]);
    let parsed = |text: &str| Parser::new(text, "{{", "}}")?.parse();
    // What is wrong without the last text is said without it.
    let (tree, defines) =
        parsed(&format!("{template}{last_text}")).or_else(|error| parsed(template).and(Err(error)))?;
    let of_defines = defines.iter().find_map(|define| open_block(&define.body, define.pos, &last_text));
    if let Some(pos) = of_defines.or_else(|| open_block_within(&tree, &last_text)) {
        let before = template.get(..pos.offset).unwrap_or_default();
        return Err(TemplateError::Parse {
            name: None,
            line: pos.line,
            col: before.chars().rev().take_while(|character| *character != '\n').count() + 1,
            message: "this has no {{end}}".to_owned(),
        });
    }
    let line = match tree.nodes.last() {
        Some(Node::Text(text)) if text.text.ends_with(&last_text) => return Ok(()),
        Some(Node::Text(text)) => Marker::new(template).line(text) + text.text.matches('\n').count(),
        Some(Node::Action(node)) => node.pos.line,
        Some(Node::If(node) | Node::Range(node) | Node::With(node)) => node.pos.line,
        _ => 1,
    };
    let message = format!("an {{{{end}}}} or {{{{else}}}} that belongs to nothing, after line {line}");
    Err(TemplateError::Exec(message))
}

/// Where the innermost block begins that still holds the last text. `pos` is where the list's own block does.
fn open_block(list: &ListNode, pos: Pos, last_text: &str) -> Option<Pos> {
    match list.nodes.last() {
        Some(Node::Text(text)) if text.text.ends_with(last_text) => Some(pos),
        _ => open_block_within(list, last_text),
    }
}

fn open_block_within(list: &ListNode, last_text: &str) -> Option<Pos> {
    match list.nodes.last() {
        Some(Node::If(branch) | Node::Range(branch) | Node::With(branch)) => {
            let last = branch.else_body.as_ref().unwrap_or(&branch.body);
            open_block(last, branch.pos, last_text)
        }
        _ => None,
    }
}

/// Refuses a variable that is set before it is made, `..name`, and a number such as 09.
pub(super) fn check_tree(template: &str, tree: &ListNode) -> gotmpl::Result<()> {
    Check { template, made: BTreeSet::new() }.list(tree)
}

struct Check<'a> {
    template: &'a str,
    /// The template's own variables so far.
    made: BTreeSet<String>,
}

impl Check<'_> {
    fn list(&mut self, list: &ListNode) -> gotmpl::Result<()> {
        list.nodes.iter().try_for_each(|node| match node {
            Node::Action(action) => self.pipe(&action.pipe),
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => self.branch(branch),
            Node::List(list) => self.list(list),
            Node::Template(TemplateNode { pipe: Some(pipe), .. }) => self.pipe(pipe),
            Node::Text(_) | Node::Template(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
        })
    }

    fn branch(&mut self, branch: &BranchNode) -> gotmpl::Result<()> {
        self.pipe(&branch.pipe)?;
        self.list(&branch.body)?;
        branch.else_body.as_ref().map_or(Ok(()), |otherwise| self.list(otherwise))
    }

    fn pipe(&mut self, pipe: &PipeNode) -> gotmpl::Result<()> {
        pipe.commands
            .iter()
            .flat_map(|command| &command.args)
            .try_for_each(|expression| self.expression(expression))?;
        for name in pipe.decl.iter().map(ToString::to_string) {
            if pipe.is_assign && !self.made.contains(&name) {
                return Err(refused(pipe.pos, format!("the variable {name} is set, but nothing made it: write :=")));
            }
            self.made.insert(name);
        }
        Ok(())
    }

    fn follows_a_point(&self, pos: Pos) -> bool {
        let (before, after) = (self.template.get(..pos.offset), self.template.get(pos.offset..));
        before.is_some_and(|before| before.ends_with('.')) || after.is_some_and(|after| after.starts_with(".."))
    }

    fn expression(&mut self, expression: &Expr) -> gotmpl::Result<()> {
        match expression {
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Field(pos, _) if self.follows_a_point(*pos) => {
                Err(refused(*pos, "two points before a name".to_owned()))
            }
            Expr::Chain(_, inner, _) => self.expression(inner),
            Expr::Number(pos, _) => {
                let rest = self.template.get(pos.offset..).unwrap_or_default();
                let end = rest.find(|character: char| !(character.is_ascii_alphanumeric() || "._".contains(character)));
                let number = &rest[..end.unwrap_or(rest.len())];
                let is_octal =
                    number.len() > 1 && number.starts_with('0') && number.chars().all(|digit| digit.is_ascii_digit());
                if is_octal && number.contains(['8', '9']) {
                    return Err(refused(*pos, format!("{number} begins with 0, so it is octal, and has an 8 or 9")));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn refused(pos: Pos, message: String) -> TemplateError {
    TemplateError::Exec(format!("line {}: {message}", pos.line))
}
