//! What a template says anew each time that it is rendered, the time or the environment, kept as a template.

use super::printf::quote;
use gotmpl::parse::{CommandNode, Expr, Number, PipeNode, SmolStr};
use std::cell::RefCell;

/// Noncharacters around the number of an action that was kept.
const KEPT: [char; 2] = ['\u{FDD2}', '\u{FDD3}'];

/// The functions whose results change.
const CHANGING: &[&str] = &["nowWithFormat", "systemEnv", "randomInt"];

/// The actions of a template that are kept, and those that can't be.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    actions: RefCell<Vec<String>>,
    lines: RefCell<Vec<usize>>,
}

impl Kept {
    /// Text with the actions that were kept in it.
    pub(crate) fn in_text(&self, text: &str) -> String {
        let actions = self.actions.borrow();
        let numbered = actions.iter().enumerate();
        numbered.fold(text.to_owned(), |text, (number, action)| text.replace(&marker(number), action))
    }

    /// The lines of conditions and variables that depend on what changes: these are settled.
    pub(crate) fn settled_lines(&self) -> Vec<usize> {
        self.lines.borrow().clone()
    }

    /// Keeps an action that prints what changes; gives the text that stands for it.
    pub(super) fn keep(&self, pipe: &PipeNode) -> Option<String> {
        if !changes(pipe) {
            return None;
        }
        if !pipe.decl.is_empty() {
            self.settle(pipe);
            return None;
        }
        let mut actions = self.actions.borrow_mut();
        actions.push(format!("{{{{{}}}}}", source(pipe)));
        Some(marker(actions.len() - 1))
    }

    /// Notes a pipe whose result is settled, if it depends on what changes.
    pub(super) fn settle(&self, pipe: &PipeNode) {
        if changes(pipe) {
            self.lines.borrow_mut().push(pipe.pos.line);
        }
    }
}

fn marker(number: usize) -> String {
    format!("{}{number}{}", KEPT[0], KEPT[1])
}

fn changes(pipe: &PipeNode) -> bool {
    pipe.commands.iter().flat_map(|command| &command.args).any(|expression| match expression {
        Expr::Identifier(_, name) => CHANGING.contains(&name.as_str()),
        Expr::Pipe(_, pipe) => changes(pipe),
        Expr::Chain(_, inner, _) => matches!(&**inner, Expr::Pipe(_, pipe) if changes(pipe)),
        _ => false,
    })
}

/// A pipe as it is written in a template.
fn source(pipe: &PipeNode) -> String {
    pipe.commands.iter().map(of_command).collect::<Vec<_>>().join(" | ")
}

fn of_command(command: &CommandNode) -> String {
    command.args.iter().map(of_expression).collect::<Vec<_>>().join(" ")
}

fn of_expression(expression: &Expr) -> String {
    let names = |names: &[SmolStr]| names.iter().map(|name| format!(".{name}")).collect::<String>();
    match expression {
        Expr::Dot(_) => ".".to_owned(),
        Expr::Field(_, fields) => names(fields),
        Expr::Variable(_, name, fields) => format!("{name}{}", names(fields)),
        Expr::Identifier(_, name) => name.to_string(),
        Expr::String(_, text) => quote(text, '"', false),
        Expr::Number(_, Number::Int(number)) => number.to_string(),
        Expr::Number(_, Number::Uint(number)) => number.to_string(),
        Expr::Number(_, Number::Float(number)) => format!("{number:?}"),
        Expr::Bool(_, truth) => truth.to_string(),
        Expr::Nil(_) => "nil".to_owned(),
        Expr::Pipe(_, pipe) => format!("({})", source(pipe)),
        Expr::Chain(_, inner, fields) => format!("{}{}", of_expression(inner), names(fields)),
    }
}
