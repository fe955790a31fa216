//! What one tenant may try against another, on a hollow cluster: one test after the other, because each has an operator
//! of its own.

mod a_huge_object_stops_nobody;
mod an_unreadable_object_stops_nobody;
mod arena;
mod connections_cannot_fill_the_operator;
mod mistakes;
mod objects;
mod one_refused_child_stops_no_other;
mod tenant;
mod what_limits_is_said;
mod what_others_change_is_put_right;
