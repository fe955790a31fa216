//! Promises that are tested side by side: each in a namespace of its own, none disturbing the others, so that those
//! who must wait wait together. The operator is the one of the chart.

mod a_pod_that_does_not_start_is_named;
mod app_deleted_mid_scale;
mod at_rest_only_the_lease_is_written;
mod bad_image_is_named;
mod bad_manifest_is_refused_in_words;
mod bad_metric_is_named;
mod dead_database_does_not_kill_pods;
mod hand_edit_is_reverted;
mod hanging_requests_take_no_replica;
mod image_change_loses_no_request;
mod live_values_follow_rbac;
mod module_becomes_a_service;
mod new_pods_take_no_replica;
mod new_version_loses_no_order;
mod override_ends_by_itself;
mod pods_are_restricted;
mod quota_is_named;
mod refused_replicas_stop_no_other;
mod scales_in;
mod scales_out;
mod shop_serves_from_its_image;
mod worker_gone_mid_job_loses_no_job;
