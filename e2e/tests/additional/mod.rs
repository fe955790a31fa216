//! What takes longer than `make test` has: HPA's default window of stabilization, and data tiers that grow and shrink under
//! load. On a real cluster, by `make test-all`.

mod at_rest_for_a_default_window;
mod blue_green_switches_and_back;
mod cache_changes_while_it_runs;
mod cache_scales_and_survives;
mod callee_of_a_silent_caller_is_held;
mod cloud_native_pg_follows_the_load;
mod cluster_of_cloud_native_pg_is_scaled;
mod delete_keeps_storage_when_told;
mod delete_leaves_nothing;
mod diagnosis;
mod diagnosis_names_the_dependency;
mod diagnosis_names_the_pool;
mod diagnosis_names_the_slow_query;
mod drain_loses_no_job;
mod idle_workers_leave_first;
mod no_scale_in_while_evicting;
mod nothing_wrong_does_nothing;
mod one_bad_pod_is_not_an_outage;
mod payments;
mod pool;
mod primary_failover_recovers;
mod readers;
mod readers_scale_without_errors;
mod renamed_tiers_stay_until_unused;
mod replica_lag_excludes;
mod retry_storm_is_named_and_ends;
mod route_loses_no_request;
mod scales_in_after_the_default_window;
mod stack;
mod ungranted_growth_stops;
mod weight_is_true;

use std::time::Duration;
use tokio::sync::Mutex;

/// The definitions of CloudNativePG are those of the whole cluster: one test at a time has them.
static CLOUD_NATIVE_PG: Mutex<()> = Mutex::const_new(());

/// The definitions of Gateway API are those of the whole cluster, too.
static GATEWAY: Mutex<()> = Mutex::const_new(());

/// HPA's default window of stabilization.
const DEFAULT_WINDOW: Duration = Duration::from_secs(300);
