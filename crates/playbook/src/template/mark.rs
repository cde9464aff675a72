//! Marks in a template: they tell which line each line of the result comes from, which action is run, and what an action
//! prints.

use super::dynamic::Kept;
use super::uses::uses_of_pipe;
use gotmpl::parse::{ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, PipeNode, Pos, TemplateNode, TextNode};
use std::sync::Arc;

/// Noncharacters, which no text has, around the number of a template's line.
pub(super) const MARK: [char; 2] = ['\u{FDD0}', '\u{FDD1}'];

/// A function of ours that stands before each action, one behind each that prints, and one that gives nothing.
pub(super) const AT: &str = "_at";
pub(super) const PRINTED: &str = "_printed";
pub(super) const NOTHING: &str = "_nothing";

/// A rendered template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// For each line of the text, the line of the template that it comes from, from 1.
    pub lines: Vec<usize>,
}

/// Takes the marks out of a text, and notes for each line the first line of the template that has a part in it.
pub(super) fn without_marks(marked: &str) -> Rendered {
    let mut text = String::with_capacity(marked.len());
    let (mut lines, mut last, mut here) = (Vec::new(), 1, None);
    let mut rest = marked;
    while let Some(character) = rest.chars().next() {
        if character == MARK[0]
            && let Some(end) = rest.find(MARK[1])
        {
            last = rest[character.len_utf8()..end].parse().unwrap_or(last);
            here = here.or(Some(last));
            rest = &rest[end + MARK[1].len_utf8()..];
            continue;
        }
        text.push(character);
        rest = &rest[character.len_utf8()..];
        if character == '\n' {
            lines.push(here.take().unwrap_or(last));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        lines.push(here.unwrap_or(last));
    }
    Rendered { text, lines }
}

fn mark(line: usize) -> Node {
    Node::Text(TextNode { pos: Pos::new(0, line), text: format!("{}{line}{}", MARK[0], MARK[1]).into() })
}

/// An action that says where we are.
fn at(line: usize) -> Node {
    let pos = Pos::new(0, line);
    let line = gotmpl::parse::Number::Int(i64::try_from(line).unwrap_or(0));
    let command = CommandNode { pos, args: vec![Expr::Identifier(pos, AT.into()), Expr::Number(pos, line)] };
    let pipe = PipeNode { pos, decl: Vec::new(), commands: vec![command], is_assign: false };
    Node::Action(ActionNode { pos, pipe })
}

/// A call of a template. Without a value it is given nothing, as in Go; the engine would give it the caller's `.`.
fn call(template: &TemplateNode) -> TemplateNode {
    let mut template = template.clone();
    let pos = template.pos;
    template.pipe.get_or_insert_with(|| {
        let command = CommandNode { pos, args: vec![Expr::Identifier(pos, NOTHING.into())] };
        PipeNode { pos, decl: Vec::new(), commands: vec![command], is_assign: false }
    });
    template
}

/// Puts marks into a parsed template.
pub(super) struct Marker<'a> {
    template: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
    /// Where actions that print what changes are kept, if they are not to be rendered.
    kept: Option<&'a Kept>,
}

impl<'a> Marker<'a> {
    pub(super) fn new(template: &'a str) -> Self {
        let starts = std::iter::once(0).chain(template.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Self { template, starts, kept: None }
    }

    /// Keeps what changes, if there is somewhere to keep it.
    pub(super) fn keeping(mut self, kept: Option<&'a Kept>) -> Self {
        self.kept = kept;
        self
    }

    /// The line that a text begins on. Its position is that of what it was before blanks were trimmed.
    pub(super) fn line(&self, text: &TextNode) -> usize {
        let trimmed = self.template.get(text.pos.offset..).and_then(|rest| rest.find(&*text.text)).unwrap_or(0);
        self.starts.partition_point(|start| *start <= text.pos.offset + trimmed)
    }

    /// A list of nodes with marks.
    pub(super) fn list(&self, list: &ListNode) -> ListNode {
        // An empty body costs work too, where a loop or a recursion runs it.
        let mut nodes = vec![at(list.pos.line)];
        for node in &list.nodes {
            match node {
                Node::Text(text) => {
                    let line = self.line(text);
                    for (number, part) in text.text.split_inclusive('\n').enumerate() {
                        nodes.push(mark(line + number));
                        nodes.push(Node::Text(TextNode { pos: text.pos, text: part.into() }));
                    }
                }
                Node::Action(action) => {
                    nodes.extend([at(action.pos.line), mark(action.pos.line)]);
                    nodes.push(match self.kept.and_then(|kept| kept.keep(&action.pipe)) {
                        Some(text) => Node::Text(TextNode { pos: action.pos, text: text.into() }),
                        None => Node::Action(checked_action(action)),
                    });
                }
                Node::If(branch) => nodes.extend([at(branch.pos.line), Node::If(self.branch(branch))]),
                Node::Range(branch) => nodes.extend([at(branch.pos.line), Node::Range(self.branch(branch))]),
                Node::With(branch) => nodes.extend([at(branch.pos.line), Node::With(self.branch(branch))]),
                Node::List(list) => nodes.push(Node::List(self.list(list))),
                Node::Template(template) => nodes.extend([at(template.pos.line), Node::Template(call(template))]),
                Node::Define(_) | Node::Break(_) | Node::Continue(_) => nodes.push(node.clone()),
            }
        }
        ListNode { pos: list.pos, nodes }
    }

    fn branch(&self, branch: &BranchNode) -> BranchNode {
        if let Some(kept) = self.kept {
            kept.settle(&branch.pipe);
        }
        BranchNode {
            body: self.list(&branch.body),
            else_body: branch.else_body.as_ref().map(|body| self.list(body)),
            ..branch.clone()
        }
    }
}

/// What an action prints goes through a function of ours, which refuses a value that is not there.
fn checked_action(action: &ActionNode) -> ActionNode {
    let mut action = action.clone();
    if action.pipe.decl.is_empty() {
        let mut fields = Vec::new();
        uses_of_pipe(&action.pipe, true, &mut fields);
        let names: Vec<String> = fields.into_iter().map(|field| format!(".{}", field.name)).collect();
        let pos = action.pos;
        let args = vec![Expr::Identifier(pos, PRINTED.into()), Expr::String(pos, Arc::from(names.join(" ").as_str()))];
        action.pipe.commands.push(CommandNode { pos, args });
    }
    action
}
