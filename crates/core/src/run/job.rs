//! What is to run: a phase of a module, or a custom module.

use crate::dialect::Dialect;
use crate::files::Files;
use crate::model::Module;
use crate::plan::{Phase, Plan};
use crate::variables::Variables;
use std::sync::Arc;

/// One plan to run. That of a phase is made here, from the variables that its tables are checked by.
#[derive(Clone, Debug)]
pub struct Job {
    plan: Plan,
    module: Option<Module>,
    phase: Option<Phase>,
    variables: Option<Variables>,
}

impl Job {
    /// A phase of a module.
    pub fn phase(module: &Module, phase: Phase, variables: &Variables, dialect: &Arc<dyn Dialect>) -> Self {
        Self::phase_with(module, phase, variables, dialect, &Files::default())
    }

    /// A phase of a module that loads files first.
    pub fn phase_with(
        module: &Module,
        phase: Phase,
        variables: &Variables,
        dialect: &Arc<dyn Dialect>,
        files: &Files,
    ) -> Self {
        let plan = module.plan_with(phase, variables, dialect, files);
        Self { phase: Some(phase), ..Self::plan_of(module, plan, variables) }
    }

    /// A plan of a module's that is none of its phases. Its tables are checked as before main.
    pub fn plan_of(module: &Module, plan: Plan, variables: &Variables) -> Self {
        Self { plan, module: Some(*module), phase: None, variables: Some(variables.clone()) }
    }

    /// A custom module: scripts of the user's own.
    pub fn custom(plan: Plan) -> Self {
        Self { plan, module: None, phase: None, variables: None }
    }

    /// A migration of the tables of some modules ([`crate::preflight::Drift`]), whose columns are not checked before.
    pub fn migration(plan: Plan, variables: &Variables) -> Self {
        Self { plan, module: None, phase: None, variables: Some(variables.clone()) }
    }

    /// What it will do.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The module and the phase, if it is one.
    pub fn of(&self) -> Option<(&Module, Phase)> {
        Some((self.module.as_ref()?, self.phase?))
    }

    /// The module, unless it is a custom one.
    pub fn module(&self) -> Option<&Module> {
        self.module.as_ref()
    }

    /// The module, if this works on tables of it that must be as the model has them.
    pub(super) fn reads(&self) -> Option<&Module> {
        self.module.as_ref().filter(|_| self.phase != Some(Phase::Destroy))
    }

    /// Whether it is a user's own: scripts, which may not be such as can run twice.
    pub(super) fn is_custom(&self) -> bool {
        self.variables.is_none()
    }

    /// The variables of a phase.
    pub(super) fn variables(&self) -> Option<&Variables> {
        self.variables.as_ref()
    }

    /// Leaves out the steps of whose number (from 0) something holds not.
    pub fn retain_steps(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut number = 0;
        self.plan.steps.retain(|_| {
            number += 1;
            keep(number - 1)
        });
    }
}
