//! The lock as a model whose every state is visited: three runs that acquire, renew, take over, commit, stop, crash, and
//! whose statements come late, beside a user who unlocks and a writer. What must never be is looked for in each state.

use std::collections::{HashSet, VecDeque};

/// Who may be at work at once.
const RUNS: usize = 3;

/// What can be left out of the rules, to see that the search finds what then goes wrong.
#[derive(Clone, Copy)]
struct Rules {
    /// A block renews its lock's row in its own transaction, and does nothing without it. Else the lock is asked for right
    /// before the block is sent.
    guard: bool,
    /// What a commit moves and what complete removes is compared with the checksums that its run took.
    seals: bool,
    /// Who takes a row looks whether another run holds one.
    looks: bool,
}

const ALL: Rules = Rules { guard: true, seals: true, looks: true };

/// What a run does next, in this order. A run that stands still between two of them is one that was stopped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    LookForRow,
    InsertRow,
    TakeRows,
    LookWhoHolds,
    MakeMetadata,
    MakeInput,
    SealInput,
    MakeSessions,
    SealSessions,
    Commit,
    Complete,
    DropLock,
    Nothing,
}

impl Next {
    const ORDER: [Self; 13] = [
        Self::LookForRow,
        Self::InsertRow,
        Self::TakeRows,
        Self::LookWhoHolds,
        Self::MakeMetadata,
        Self::MakeInput,
        Self::SealInput,
        Self::MakeSessions,
        Self::SealSessions,
        Self::Commit,
        Self::Complete,
        Self::DropLock,
        Self::Nothing,
    ];

    fn after(self) -> Self {
        Self::ORDER.get(self as usize + 1).copied().unwrap_or(Self::Nothing)
    }

    /// Whether it is a transaction of its own with the lock's row.
    fn is_block(self) -> bool {
        matches!(self, Self::SealInput | Self::SealSessions | Self::Commit | Self::Complete)
    }
}

/// A set of page views, as bits.
type PageViews = u8;

/// A row of the lock's table: who holds it. Whether its lease has run out is left open: it may have at any time.
type Row = Option<u8>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    /// What comes next: it may be on its way already.
    next: Next,
    /// Whether the run has crashed, or ended because it learnt that its lock is lost; what it had sent may come late.
    dead: bool,
    /// Whether it has asked for its lock and then sent what comes next, if that asks.
    asked: bool,
    /// For the search only: whether the lock was another's or nobody's since this run took it.
    lost: bool,
    /// For the search only: whether another run has committed since this run took the lock.
    overlapped: bool,
}

const ENDED: Run = Run { next: Next::Nothing, dead: false, asked: false, lost: false, overlapped: false };

#[derive(Clone, Copy)]
struct Metadata {
    input: Option<PageViews>,
    sessions: Option<PageViews>,
    committed: bool,
}

#[derive(Clone, Copy)]
struct State {
    rows: [Option<Row>; RUNS],
    runs: [Run; RUNS],
    arrived: PageViews,
    staged: PageViews,
    production: PageViews,
    metadata: Option<Metadata>,
    input: Option<PageViews>,
    sessions: Option<PageViews>,
}

impl State {
    fn first() -> Self {
        Self {
            rows: [None; RUNS],
            runs: [Run { next: Next::LookForRow, ..ENDED }; RUNS],
            arrived: 1,
            staged: 1,
            production: 0,
            metadata: None,
            input: None,
            sessions: None,
        }
    }

    fn is_held_by(&self, run: usize) -> bool {
        self.rows.contains(&Some(Some(run as u8)))
    }

    fn is_held_by_another(&self, run: usize) -> bool {
        (0..RUNS).any(|other| other != run && self.is_held_by(other))
    }

    /// Changes the lock's rows, and notes who lost the lock by that.
    fn change_rows(&mut self, change: impl Fn(Row) -> Option<Row>) {
        let before = *self;
        self.rows = self.rows.map(|row| row.and_then(&change));
        for run in 0..RUNS {
            self.runs[run].lost |= before.is_held_by(run) && !self.is_held_by(run);
        }
    }

    /// The same with the runs and rows in order: which of them is which does not matter. What is noted for the search only
    /// is forgotten where it can't matter any more.
    fn in_order(mut self, rules: Rules) -> Self {
        for number in 0..RUNS {
            // A run that has lost its lock never has it again: all that its block can do is to find that out.
            let finds_out = rules.guard && self.runs[number].next.is_block() && !self.is_held_by(number);
            let run = &mut self.runs[number];
            if run.next <= Next::TakeRows || run.next > Next::Commit {
                (run.lost, run.overlapped) = (false, false);
            }
            let is_over = run.dead && run.next == Next::DropLock && !run.asked;
            if run.next == Next::Nothing || finds_out || is_over {
                *run = ENDED;
            }
        }
        let of = self;
        let mut order: [usize; RUNS] = std::array::from_fn(|run| run);
        order.sort_unstable_by_key(|run| (of.runs[*run], of.is_held_by(*run)));
        let place = |run: u8| order.iter().position(|of| *of == run as usize).map(|place| place as u8);
        self.runs = order.map(|run| of.runs[run]);
        self.rows = of.rows.map(|row| row.map(|holder| holder.and_then(place)));
        self.rows.sort_unstable();
        self
    }

    /// The state as a number, which is faster to look up than its parts.
    fn number(&self) -> u64 {
        let set = |of: Option<PageViews>| (3, of.map_or(7, u64::from));
        let flag = |of: bool| (1, u64::from(of));
        let row = |of: Option<Row>| (3, of.map_or(7, |holder| holder.map_or(6, u64::from)));
        let mut number = 0;
        let mut add = |(bits, value): (u32, u64)| number = number << bits | value;
        self.rows.into_iter().for_each(|of| add(row(of)));
        for of in &self.runs {
            add((4, of.next as u64));
            [of.dead, of.asked, of.lost, of.overlapped].into_iter().for_each(|of| add(flag(of)));
        }
        [self.arrived, self.staged, self.production].into_iter().for_each(|of| add(set(Some(of))));
        let metadata = self.metadata.map(|of| (of.input, of.sessions, of.committed));
        let (input, sessions, committed) = metadata.unwrap_or_default();
        [set(input), set(sessions), flag(committed), flag(metadata.is_some())].into_iter().for_each(&mut add);
        [self.input, self.sessions].into_iter().for_each(|of| add(set(of)));
        number
    }

    /// Gives all states that can be next to a visitor. An error says what happened that must not.
    fn successors(&self, rules: Rules, mut visit: impl FnMut(State)) -> Result<(), String> {
        // Someone unlocks; a page view arrives.
        let mut unlocked = *self;
        unlocked.change_rows(|_| Some(None));
        visit(unlocked);
        visit(State { staged: self.staged | 2 & !self.arrived, arrived: self.arrived | 2, ..*self });
        for run in 0..RUNS {
            let Run { next: step, dead, asked, .. } = self.runs[run];
            let with = |of: Run| {
                let mut next = *self;
                next.runs[run] = of;
                next
            };
            if step == Next::Nothing {
                continue;
            }
            if step <= Next::LookWhoHolds {
                visit(with(ENDED));
                self.acquiring(run, step, rules, &mut visit);
                continue;
            }
            // Whether the lock was asked for right before doesn't help a statement that is stopped on its way: so most are
            // sent as they are. The release asks, and so does a block that has no guard.
            let asks = step == Next::DropLock || step.is_block() && !rules.guard;
            if asks && !asked {
                let held = self.is_held_by(run);
                visit(with(if held && !dead { Run { asked: true, ..self.runs[run] } } else { ENDED }));
                continue;
            }
            visit(with(Run { dead: true, ..self.runs[run] }));
            visit(self.applied(run, step, rules)?);
        }
        Ok(())
    }

    /// A step of taking the lock.
    fn acquiring(&self, run: usize, step: Next, rules: Rules, visit: &mut impl FnMut(State)) {
        let mut next = *self;
        next.runs[run].next = step.after();
        match step {
            Next::LookForRow if self.rows.iter().any(Option::is_some) => next.runs[run].next = Next::TakeRows,
            Next::InsertRow => {
                if let Some(place) = next.rows.iter_mut().find(|row| row.is_none()) {
                    *place = Some(None);
                }
            }
            Next::TakeRows => {
                (next.runs[run].lost, next.runs[run].overlapped) = (false, false);
                // The leases of the others have run out by now, or they have not.
                let mut over = next;
                over.change_rows(|_| Some(Some(run as u8)));
                visit(over);
                next.change_rows(|row| Some(row.or(Some(run as u8))));
            }
            Next::LookWhoHolds => {
                let others = rules.looks && self.is_held_by_another(run);
                if others {
                    next.change_rows(|row| Some(row.filter(|holder| usize::from(*holder) != run)));
                }
                if others || !self.is_held_by(run) {
                    next.runs[run].next = Next::LookForRow;
                }
            }
            _ => {}
        }
        visit(next);
    }

    /// What a run has sent comes to the warehouse: all of it, or it fails and its run ends.
    fn applied(&self, run: usize, statement: Next, rules: Rules) -> Result<State, String> {
        let mut next = *self;
        let fenced = rules.guard && statement.is_block() && !self.is_held_by(run);
        let goes_on = !fenced && next.apply(run, statement, rules)?;
        if !goes_on {
            next = *self;
        }
        let of = self.runs[run];
        next.runs[run] = match goes_on && !of.dead {
            true => Run { next: statement.after(), asked: false, ..next.runs[run] },
            false => ENDED,
        };
        Ok(next)
    }

    /// Whether what this run made is as it made it, as far as the rules look.
    fn sealed(&self, rules: Rules) -> Option<Metadata> {
        self.metadata.filter(|of| !rules.seals || of.input == self.input && of.sessions == self.sessions)
    }

    /// `false` if the statement fails.
    fn apply(&mut self, run: usize, statement: Next, rules: Rules) -> Result<bool, String> {
        match statement {
            Next::MakeMetadata => self.metadata = Some(Metadata { input: None, sessions: None, committed: false }),
            Next::MakeInput => self.input = Some(self.staged),
            Next::MakeSessions => {
                if self.input.is_none() {
                    return Ok(false);
                }
                self.sessions = self.input;
            }
            Next::SealInput | Next::SealSessions => {
                let (input, sessions) = (self.input, self.sessions);
                match self.metadata.as_mut().filter(|metadata| !metadata.committed) {
                    None => return Ok(false),
                    Some(metadata) if statement == Next::SealInput => metadata.input = input,
                    Some(metadata) => metadata.sessions = sessions,
                }
            }
            Next::Commit => {
                let (Some(metadata), Some(input), Some(sessions)) = (self.sealed(rules), self.input, self.sessions)
                else {
                    return Ok(false);
                };
                if metadata.committed {
                    return Ok(true);
                }
                let Run { lost, overlapped, .. } = self.runs[run];
                let wrong = [
                    (lost, "a run that lost its lock commits"),
                    (overlapped, "two runs commit overlapping work"),
                    (input != sessions, "a run commits sessions of other page views than it read"),
                ];
                if let Some((_, words)) = wrong.iter().find(|(is_so, _)| *is_so) {
                    return Err((*words).to_owned());
                }
                self.production |= sessions;
                self.metadata = Some(Metadata { committed: true, ..metadata });
                for (number, other) in self.runs.iter_mut().enumerate() {
                    other.overlapped |= number != run;
                }
            }
            Next::Complete => {
                let Some(input) = self.input else { return Ok(false) };
                if self.sealed(rules).is_some_and(|metadata| metadata.committed) {
                    self.staged &= !input;
                    self.input = Some(0);
                }
                if self.staged | self.production != self.arrived {
                    return Err("page views are lost".to_owned());
                }
            }
            Next::DropLock => self.change_rows(|_| None),
            _ => {}
        }
        Ok(true)
    }
}

/// Visits every state; gives their number, or what happened that must not and how many steps led there.
fn search(rules: Rules) -> Result<usize, String> {
    let mut known = HashSet::from([State::first().number()]);
    let mut queue = VecDeque::from([(State::first(), 0)]);
    while let Some((state, steps)) = queue.pop_front() {
        let visited = state.successors(rules, |next| {
            let next = next.in_order(rules);
            if known.insert(next.number()) {
                queue.push_back((next, steps + 1));
            }
        });
        visited.map_err(|words| format!("{words}, after {steps} steps and {} states", known.len()))?;
    }
    Ok(known.len())
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was searched")]
fn no_run_commits_what_it_has_lost() {
    let started = std::time::Instant::now();
    let states = search(ALL).unwrap_or_else(|words| panic!("{words}"));
    eprintln!("{states} states in {:?}", started.elapsed());
    assert!(states > 10_000, "{states}");
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was searched")]
fn the_search_finds_what_each_rule_prevents() {
    for (left_out, rules) in [
        ("the guard", Rules { guard: false, ..ALL }),
        ("the seals", Rules { seals: false, ..ALL }),
        ("the look", Rules { looks: false, ..ALL }),
    ] {
        let found = search(rules);
        eprintln!("without {left_out}: {found:?}");
        assert!(found.is_err(), "without {left_out}: {found:?}");
    }
}
