//! The compiling child, its limits and its cache. This binary is its own child: with `child` and a role before the arguments that
//! `Compiler` gives, it plays that role instead of running tests.

#[allow(dead_code)]
#[path = "../plugin/bots.rs"]
mod bots;
mod cached;
mod compiled;
mod confined;
mod roles;
mod stage;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

macro_rules! trials {
    ($($module:ident: $($name:ident),+ $(,)?;)+) => {
        vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            $module::$name();
            Ok(())
        })),+),+]
    };
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if let [_, child, role, rest @ ..] = &args[..]
        && child == "child"
    {
        return roles::play(&role.to_string_lossy(), rest);
    }
    let trials = trials! {
        compiled:
            a_bot_compiled_in_the_child_is_the_bot_compiled_here,
            what_cannot_be_a_bot_is_refused_in_the_words_of_the_engine,
            a_component_over_the_size_limit_starts_no_child,
            compiled_code_is_refused_by_name,
            types_that_do_not_fit_are_seen_when_the_code_is_loaded,
            a_function_that_compiles_for_ever_ends_at_its_processor_time,
            a_function_that_compiles_into_all_memory_ends_at_its_limit,
            a_child_that_never_answers_is_killed_at_the_deadline,
            a_child_that_closes_its_pipes_and_stays_is_killed_at_once,
            a_child_that_writes_without_end_is_cut_off,
            a_child_that_crashes_is_the_hosts_failure,
            an_executable_that_was_replaced_compiles_nothing,
            two_uploads_at_once_are_compiled_one_after_the_other,
            a_full_queue_says_so;
        confined:
            the_child_opens_no_file_and_no_socket_and_starts_nothing,
            the_child_has_no_environment_and_three_descriptors,
            the_child_runs_under_its_limits_and_last_of_all;
        cached:
            what_was_compiled_once_is_not_compiled_again,
            an_entry_that_was_changed_anywhere_is_compiled_again,
            an_entry_cut_short_or_longer_is_compiled_again,
            an_entry_under_another_key_is_compiled_again,
            an_entry_of_other_settings_or_another_component_is_compiled_again,
            an_artefact_of_other_settings_is_not_loaded,
            a_link_in_the_place_of_an_entry_is_not_followed,
            the_entry_unused_for_longest_goes_first,
            what_is_larger_than_the_cache_is_used_and_not_kept,
            the_key_is_for_this_user_only,
            a_key_that_others_can_read_is_replaced,
            what_a_killed_host_left_half_written_is_removed;
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
