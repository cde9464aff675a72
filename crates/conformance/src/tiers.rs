//! Which trials a slow warehouse runs each time: what a trial says about this project's own logic it says on a fast one; what
//! it says about the warehouse itself (its SQL, its types, its transactions, the wire) it can only say there.

use libtest_mimic::{Arguments, Trial};

/// The trials that tell something on every warehouse, however slow, and what that is. On a warehouse with its own SQL it is
/// told once for each construct; what the others vary is the order of the same statements.
pub const ON_A_SLOW_SERVER: &[(&str, &str)] = &[
    ("scenario_03_text_and_types", "every type there and back, and text as the warehouse compares and pads it"),
    ("scenario_04_nulls", "NULL in keys, joins, aggregates and order"),
    ("scenario_05_late_arriving", "the upsert over rows that are there, in one transaction"),
    ("scenario_14_empty_input", "aggregates, limits and metadata over nothing"),
    ("scenario_users_05_ties", "windows, their order by bytes, and one row a user"),
    (
        "columns_of_ones_own_equal_a_hand_computation",
        "sums, distinct counts, flags and text by its bytes, of columns that a user declares",
    ),
    ("users_switched_on_late_start_complete", "what depends on a table that is not there"),
    ("a_table_left_under_the_name_of_the_view_goes", "a view, and how the catalogue tells it from a table"),
    ("a_sum_that_users_cannot_hold_changes_nothing", "overflow"),
    ("a_block_that_fails_changes_nothing", "the transaction rolls back, and a missing table is known as such"),
    ("a_cancelled_run_leaves_production_alone", "a statement that runs is cancelled, and what it says then"),
    (
        "a_drifted_table_stops_the_run_before_anything_changes",
        "the catalogue's names and types as this warehouse tells them",
    ),
    (
        "a_migration_leaves_what_else_differs_alone",
        "ALTER TABLE as this warehouse takes it, and its catalogue afterwards",
    ),
    (
        "a_page_view_that_came_again_between_main_and_complete_stays_in_its_new_form",
        "the fingerprint of a row, and the delete by it",
    ),
    (
        "dropped_sessions_can_keep_their_input",
        "the findings' SELECTs with rows in them, and the other delete of the input",
    ),
    (
        "old_copies_before_the_lookback_are_replaced_when_it_widens",
        "days are taken from timestamps, and these compared",
    ),
    (
        "page_views_of_any_history_are_those_of_one_run",
        "every SELECT of the page views module, with ties, NULL and rows left out",
    ),
    ("page_views_that_come_again_change_no_row", "page views that are stored already, and their counts"),
    ("a_table_of_a_run_of_page_views_that_another_makes_anew_is_noticed", "the seals of the page views module"),
    ("seconds_are_boundaries_crossed", "seconds between timestamps"),
    ("only_blanks_pad_an_id", "which spaces RTRIM takes off, and what a comparison of text leaves out"),
    ("what_looks_at_the_tables_say_is_so", "every SELECT of the commands that look, and of the report"),
    ("rights_are_looked_at_without_a_change", "changes of no row, which a look at rights sends"),
    ("text_survives_whatever_it_holds", "quotes, escapes and other alphabets in literals and over the wire"),
    ("the_plan_is_what_is_sent", "every statement of the options that the others leave out, and of destroy"),
    ("two_runs_interleave_at_any_call", "what a block's guard and seals see of another run's statements"),
    ("two_racing_runs_do_not_interleave", "the lock under this warehouse's isolation, over two connections"),
];

/// Of a slow warehouse's trials those of [`ON_A_SLOW_SERVER`]; all of them if the arguments name some, or if the environment
/// has `WEBSESSIONS_TEST_EVERYTHING`.
pub fn tier(arguments: &Arguments, trials: Vec<Trial>) -> Vec<Trial> {
    if arguments.filter.is_some() || std::env::var_os("WEBSESSIONS_TEST_EVERYTHING").is_some() {
        return trials;
    }
    chosen(trials, ON_A_SLOW_SERVER)
}

/// The trials of a list of names. Panics if no trial has one of them: a list that went stale would run nothing.
fn chosen(trials: Vec<Trial>, list: &[(&str, &str)]) -> Vec<Trial> {
    let of = |trial: &Trial, name: &str| trial.name().split_once("::").is_some_and(|(_, own)| own == name);
    for (name, _) in list {
        assert!(trials.iter().any(|trial| of(trial, name)), "there is no trial of the name {name}");
    }
    trials.into_iter().filter(|trial| list.iter().any(|(name, _)| of(trial, name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials() -> Vec<Trial> {
        ["mine::one", "mine::two"].into_iter().map(|name| Trial::test(name, || Ok(()))).collect()
    }

    #[test]
    fn a_list_chooses_trials_by_name() {
        let chosen = chosen(trials(), &[("two", "the wire")]);
        assert_eq!(chosen.iter().map(Trial::name).collect::<Vec<_>>(), ["mine::two"]);
    }

    #[test]
    #[should_panic(expected = "there is no trial of the name three")]
    fn a_name_that_no_trial_has_is_an_error() {
        chosen(trials(), &[("three", "no reason")]);
    }
}
