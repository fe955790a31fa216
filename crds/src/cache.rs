//! A cache of Valkey or Redis shards and how it scales. Pure.

use crate::service::COMPONENT_NAME;
use crate::{PodTemplate, Quantity, SecretRef};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A cache: shards that know nothing of one another, without replicas and without a disk. Services and workers of the
/// app get the shards as the file `CACHE_<NAME>_ENDPOINTS` in the folder `SCALABLEAPP_SETTINGS`. The password is the
/// file `CACHE_<NAME>_PASSWORD` there, and the variable of that name. They choose the shard of each key, and work without the cache where it is down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Name of the component, unique within the app: at most 20 lower case letters, digits and hyphens, beginning with
    /// a letter and not ending with a hyphen.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// The shards, which speak the protocol of Redis.
    pub redis: Redis,
    /// Any other fields of a PodTemplateSpec, as for a service. The container of the shard has the name of the
    /// component, the exporter that of the component and `-exporter`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// The shards of a cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Server of the shards: `valkey`, which is free software, or `redis`, which since version 7.4 is not. Version 7.0
    /// or later. The tests of this operator run on Redis 7.0 of Debian 12. Default: `valkey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<CacheEngine>,
    /// Container image of the server, with `<engine>-server`, `<engine>-cli`, `sh`, `cat` and `sleep`. Default:
    /// `docker.io/valkey/valkey:8` or `docker.io/library/redis:7.4`. Set it to choose when the shards restart: a later
    /// release may have another default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Container image of the metrics exporter beside each shard. Default: `docker.io/oliver006/redis_exporter:v1.88.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub exporter_image: Option<String>,
    /// Number of shards, which changes by at most one in 5 minutes. One more, or one less, moves its share of the keys,
    /// which are then missed once. A leaving one stays until nobody uses it, at most 5 minutes. None leaves while keys are
    /// evicted. Evictions ask for one more while the share of
    /// reads that find their key falls: by 0.02 within 5 minutes, against the 30 minutes before.
    pub shards: Shards,
    /// Memory of a shard, request and limit, 32Mi to 1Ti. The data has 72 percent of it, and is evicted from there on;
    /// the rest is for connections and fragmentation.
    ///
    /// A change needs no restart where the API server has the subresource `resize` of pods (Kubernetes 1.33 or later).
    pub memory: Quantity,
    /// Memory up to which each shard grows where only memory is short: keys are evicted, the hit ratio falls, and the CPU
    /// asks for no more shards. It grows by half, at most once in 5 minutes, and only then shards are added. It does not
    /// shrink by itself: lower `maxMemory` for that. No less than `memory`, at most 1Ti. Default: `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Quantity>,
    /// CPU request of a shard, more than 0, for example `500m`. A shard executes commands on one core. Default: `250m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Which keys leave when the memory is full. A `volatile` policy evicts only keys with an expiry, and refuses
    /// writes while there are none. Default: `allkeys-lru`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("self != 'noeviction'", "use another policy than noeviction: a cache that refuses writes when it is full is a queue"))]
    pub eviction: Option<Eviction>,
    /// Clients that may be connected to a shard at the same time, 1 to 65000. Default: 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_000))]
    pub max_clients: Option<i32>,
    /// TLS of the shards, which then have no other port. Services and workers get the certificate of the authority as a
    /// file, whose path is the variable `CACHE_<NAME>_CA`. Default: none, connections are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<CacheTls>,
    /// What asks for more shards. Default: `cpuUtilization: 70`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<CacheTarget>,
}

/// Server of the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheEngine {
    /// Valkey.
    #[default]
    Valkey,
    /// Redis.
    Redis,
}

impl CacheEngine {
    /// Its name, for example `valkey`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valkey => "valkey",
            Self::Redis => "redis",
        }
    }
}

/// TLS of the shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheTls {
    /// A Secret in the app's namespace with the keys `tls.crt`, `tls.key` and `ca.crt`, such as cert-manager makes. The
    /// certificate is for `*.<app>-<cache>.<namespace>.svc`. The shards follow a change of the files while they run.
    pub secret_ref: SecretRef,
}

/// Minimum and maximum number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.min <= self.max", "max must not be less than min"))]
pub struct Shards {
    /// Minimum shards, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub min: i32,
    /// Maximum shards, 1 to 100, and no less than `min`. Equal to `min` for a fixed number.
    #[schemars(range(min = 1, max = 100))]
    pub max: i32,
}

/// What asks for more shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheTarget {
    /// Average CPU of the shards' pods in percent of their requests, 1 to 10000. Without effect where `shards.min`
    /// equals `shards.max`. Default: 70.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub cpu_utilization: Option<i32>,
}

/// Which keys leave when the memory is full, as Redis names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Eviction {
    /// The least recently used keys.
    #[default]
    AllkeysLru,
    /// The least frequently used keys.
    AllkeysLfu,
    /// Any keys.
    AllkeysRandom,
    /// The least recently used keys with an expiry.
    VolatileLru,
    /// The least frequently used keys with an expiry.
    VolatileLfu,
    /// Any keys with an expiry.
    VolatileRandom,
    /// The keys with the nearest expiry.
    VolatileTtl,
    /// None, which is refused.
    Noeviction,
}

impl Eviction {
    /// Its name, for example `allkeys-lru`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllkeysLru => "allkeys-lru",
            Self::AllkeysLfu => "allkeys-lfu",
            Self::AllkeysRandom => "allkeys-random",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileLfu => "volatile-lfu",
            Self::VolatileRandom => "volatile-random",
            Self::VolatileTtl => "volatile-ttl",
            Self::Noeviction => "noeviction",
        }
    }
}

impl Cache {
    /// Minimum and maximum shards.
    #[must_use]
    pub fn replica_bounds(&self) -> (i32, i32) {
        (self.redis.shards.min, self.redis.shards.max)
    }
}
