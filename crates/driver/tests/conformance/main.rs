//! The driver contract as tests: every case runs on every backend.
//!
//! Invariant: a case knows no backend. It sees a `Harness` (a driver and its peers) through a `Rig`, which runs turns
//! and writes down what the driver reports. `simulated` is the simulation as it is, `simulated_faults` the same under
//! many seeds with everything cut, late and out of order within the contract.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // reason: a step that fails is a test that fails

mod cases;
mod epoll;
mod harness;
mod rig;
mod simulated;

/// Makes a test of each case on each backend.
macro_rules! conformance {
    ($($area:ident: $($case:ident),+ $(,)?;)+) => {
        mod on_epoll {
            $($(#[test] fn $case() { crate::epoll::run(crate::cases::$area::$case) })+)+
        }
        mod on_epoll_unix {
            $($(#[test] fn $case() { crate::epoll::run_unix(crate::cases::$area::$case) })+)+
        }
        mod on_simulated {
            $($(#[test] fn $case() { crate::simulated::run(crate::cases::$area::$case) })+)+
        }
        mod on_simulated_faults {
            $($(#[test] fn $case() { crate::simulated::run_with_faults(crate::cases::$area::$case) })+)+
        }
    };
}

conformance! {
    accept:
        an_accepted_connection_has_the_address_of_its_peer_and_receives,
        bytes_sent_before_the_accept_are_received_after_it,
        stop_accepting_refuses_new_connections_and_keeps_the_open_ones;
    receive:
        bytes_arrive_in_order_however_they_are_split,
        a_connection_with_much_waiting_gets_one_receive_per_turn_and_others_are_served_in_between,
        a_tail_is_put_in_front_of_the_received_bytes,
        an_end_of_stream_that_is_there_with_the_last_bytes_is_reported_after_them,
        an_end_of_stream_that_comes_later_is_reported,
        a_reset_is_reported_and_sends_fail_from_then_on,
        receiving_ends_once_even_if_a_reset_follows_the_end_of_the_stream;
    pause:
        pause_stops_receiving_and_resume_delivers_what_waited,
        pause_holds_back_the_end_of_the_stream_too,
        resuming_twice_delivers_nothing_twice,
        pausing_between_two_receives_keeps_the_rest_back;
    send:
        a_send_starts_at_its_offset_and_gives_the_buffer_back,
        a_prefix_of_what_was_received_is_sent_back,
        a_tail_in_front_of_received_bytes_is_sent_back_with_them,
        a_send_larger_than_the_socket_holds_is_in_flight_and_arrives_whole,
        each_send_in_flight_completes_exactly_once,
        a_peer_that_closed_its_write_side_still_receives,
        after_shutdown_write_the_peer_reads_everything_then_the_end_and_can_still_send,
        a_send_in_flight_on_a_broken_connection_completes_with_the_error,
        a_second_send_in_flight_is_a_bug_of_the_caller;
    close:
        close_gives_one_closed_and_nothing_after_it,
        an_orderly_close_delivers_what_was_sent_and_ends_the_stream,
        a_reset_close_resets_the_peer,
        a_close_with_a_send_in_flight_ends_with_closed,
        a_close_between_reaping_and_polling_drops_what_was_collected,
        a_connection_closed_while_another_is_served_reports_nothing_more;
    token:
        a_reused_slot_has_a_new_generation,
        commands_for_a_stale_token_are_ignored_and_counted,
        a_second_close_is_stale,
        completions_left_of_a_turn_come_in_the_next,
        the_same_commands_give_the_same_kinds_of_completion;
}
