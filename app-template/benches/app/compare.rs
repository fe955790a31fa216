//! Two servers under the same load, in turns. I/O: HTTP.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::{Asked, Clients};
use crate::process::{Program, Server};

/// Enough for both cores, and few enough that no side refuses any.
const CONNECTIONS: usize = 16;
const PAIRS: usize = 12;
const ROUND: Duration = Duration::from_secs(1);

/// One kind of request, to the app and to another program that answers it alike.
pub(crate) struct Case<'a> {
    pub(crate) what: &'static str,
    /// The role of the other program.
    pub(crate) theirs: &'static str,
    /// Both have the same.
    pub(crate) environment: &'a [(&'static str, String)],
    pub(crate) asked: Asked,
}

/// What came out.
pub(crate) struct Compared {
    pub(crate) ours: Cost,
    pub(crate) theirs: Cost,
    /// Our throughput by theirs, of each pair of rounds, rising.
    pub(crate) ratios: Vec<f64>,
    /// The most memory that ours has had resident, in MiB.
    pub(crate) memory: f64,
}

impl Compared {
    pub(crate) fn median(&self) -> f64 {
        let middle = self.ratios.len() / 2;
        (self.ratios[middle - 1] + self.ratios[middle]) / 2.0
    }
}

/// The medians of one side.
#[derive(Default)]
pub(crate) struct Cost {
    /// Answers in a second.
    pub(crate) throughput: f64,
    /// Time on a CPU for one answer, in microseconds, of the server alone.
    pub(crate) cpu: f64,
}

/// One of the two.
struct Side {
    server: Server,
    clients: Clients,
    rounds: Vec<f64>,
    answers: f64,
    cpu: Duration,
}

impl Case<'_> {
    /// Whichever goes first has the caches of the machine cold or its clock low: so the two take turns, A B B A, and
    /// each pair of neighbours is compared for itself.
    pub(crate) async fn run(&self) -> Result<Compared> {
        let mut ours = Side::open(Program::App, self).await?;
        let mut theirs = Side::open(Program::Role(self.theirs), self).await?;
        let (our, their) = (ours.clients.first().await?, theirs.clients.first().await?);
        ensure!(our == their, "the answers differ: {our:?} and {their:?}");
        ours.clients.run(ROUND).await?;
        theirs.clients.run(ROUND).await?;
        let mut ratios = Vec::new();
        for pair in 0..PAIRS {
            let (our, their) = if pair % 2 == 0 {
                (ours.round().await?, theirs.round().await?)
            } else {
                let their = theirs.round().await?;
                (ours.round().await?, their)
            };
            ratios.push(our / their);
        }
        ratios.sort_by(f64::total_cmp);
        let memory = ours.server.peak_memory();
        Ok(Compared { ours: ours.cost(), theirs: theirs.cost(), ratios, memory })
    }
}

impl Side {
    async fn open(program: Program, case: &Case<'_>) -> Result<Self> {
        let server = Server::start(program, case.environment);
        let clients = Clients::connect(server.address, CONNECTIONS, &case.asked).await?;
        Ok(Self { server, clients, rounds: Vec::new(), answers: 0.0, cpu: Duration::ZERO })
    }

    /// The throughput of one round.
    async fn round(&mut self) -> Result<f64> {
        let before = self.server.cpu_time();
        let throughput = self.clients.run(ROUND).await?;
        self.cpu += self.server.cpu_time() - before;
        self.answers += throughput * ROUND.as_secs_f64();
        self.rounds.push(throughput);
        Ok(throughput)
    }

    fn cost(mut self) -> Cost {
        self.rounds.sort_by(f64::total_cmp);
        let throughput = self.rounds[self.rounds.len() / 2];
        Cost { throughput, cpu: self.cpu.as_secs_f64() * 1e6 / self.answers }
    }
}
