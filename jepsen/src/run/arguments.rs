//! What a run is asked for: its profile, and what is said otherwise on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::checker::Required;
use crate::plan::{Choice, Mode, Plan, Profile, Rows};
use crate::workload::Workload;

/// The groups that `--nemesis all` stands for.
const GROUPS: [&str; 5] = ["process", "partition", "network", "clock", "disk"];

/// Where nodes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Partitions {
    /// In network namespaces, where they can be made: as root, or in a user namespace.
    Auto,
    /// There, or the run fails.
    Required,
    /// On loopback, where nothing can be cut.
    Off,
}

/// What a run does, and what it must have seen to count.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    /// What everything is that is not said otherwise: smoke, ci or long.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(Profile::NAMES))]
    pub(crate) profile: Option<String>,
    /// Decides plan and workloads; chosen and printed when left out.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How many gateways.
    #[arg(long, value_parser = nodes)]
    pub(crate) nodes: Option<u64>,
    /// What clients do: names of workloads, or all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) workload: Vec<String>,
    /// What may be done to the cluster: names of faults, with -leader, -follower or -all for whom they hit, of the groups
    /// process, partition, network, clock and disk, all, or none. What is named here must have been felt where it can be
    /// done: each fault, and one of each group.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) nemesis: Vec<String>,
    /// How long the clients work.
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub(crate) seconds: Option<u64>,
    /// The same in minutes.
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..=1_440))]
    pub(crate) minutes: Option<u64>,
    /// Whether a majority may be hurt at one time.
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// So many faults may be there at one time.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10))]
    pub(crate) overlap: Option<u64>,
    /// Carries out this plan.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "minutes", "nodes", "nemesis", "mode", "overlap"])]
    pub(crate) plan: Option<PathBuf>,
    /// Does the same so often.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) repeat: u64,
    /// Ends with the first run that does not pass.
    #[arg(long)]
    pub(crate) until_fail: bool,
    /// Faults without which the run proves too little; `kill:5` is five of them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) require: Vec<String>,
    /// Clients of the largest workload that work side by side.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) clients: Option<u64>,
    /// Profiles that are contended for at one time.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=50))]
    pub(crate) hot: u64,
    /// Fewer changes of the leader than this prove too little.
    #[arg(long)]
    pub(crate) leader_changes_min: Option<usize>,
    /// Fewer acknowledged changes than this prove too little.
    #[arg(long)]
    pub(crate) updates_min: Option<usize>,
    /// Leaves out what the profile measures beside the run and after it.
    #[arg(long)]
    pub(crate) no_rows: bool,
    /// Whether nodes stand in network namespaces and are cut off from each other.
    #[arg(long, value_enum, default_value_t = Partitions::Auto)]
    pub(crate) partitions: Partitions,
    /// Where the folder of the run is made.
    #[arg(long, value_name = "FOLDER", default_value = "store")]
    pub(crate) store: PathBuf,
    /// A control, whose verdict must be FAIL: a node is cut off from the others, and clients read what the node
    /// at hand has. Needs partitions.
    #[arg(long, conflicts_with_all = ["plan", "nemesis", "profile"])]
    pub(crate) stale_reads: bool,
}

fn nodes(text: &str) -> Result<u64, String> {
    match text {
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("clusters have 3 or 5 nodes".to_owned()),
    }
}

/// What a run does, once everything is said. It stands in `config.json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) profile: Option<String>,
    pub(crate) seed: u64,
    pub(crate) nodes: u64,
    pub(crate) seconds: u64,
    pub(crate) mode: Mode,
    pub(crate) overlap: usize,
    pub(crate) clients: u64,
    pub(crate) hot: usize,
    pub(crate) workloads: Vec<Workload>,
    /// Names of the faults that may happen.
    pub(crate) nemeses: Vec<String>,
    pub(crate) required: Vec<Required>,
    /// Those that are only required where they can be done.
    #[serde(skip)]
    pub(crate) required_where_possible: Vec<Required>,
    pub(crate) leader_changes_min: usize,
    pub(crate) updates_min: usize,
    pub(crate) stale_reads: bool,
    #[serde(skip)]
    pub(crate) rows: Rows,
}

impl Settings {
    /// What these arguments come to.
    ///
    /// # Errors
    /// When a name means nothing.
    pub(crate) fn of(arguments: &RunArguments, plan: Option<&Plan>) -> anyhow::Result<Self> {
        let profile = arguments.profile.as_deref().map(Profile::named).transpose()?.unwrap_or_default();
        let or = |said: &[String], else_: &[String]| if said.is_empty() { else_.to_vec() } else { said.to_vec() };
        let seconds = arguments.minutes.map(|minutes| minutes * 60).or(arguments.seconds).unwrap_or(profile.seconds);
        let nemeses = or(&arguments.nemesis, &profile.nemeses);
        let nemeses = if nemeses == ["none"] { Vec::new() } else { nemeses };
        // What a profile requires is about its own faults.
        let asks_otherwise = !arguments.nemesis.is_empty() || plan.is_some() || arguments.stale_reads;
        let of_profile = |names: &[String]| if asks_otherwise { Ok(Vec::new()) } else { required(names) };
        let mut all_required = of_profile(&profile.require)?;
        all_required.extend(required(&arguments.require)?);
        let mut required_where_possible = of_profile(&profile.require_where_possible)?;
        required_where_possible.extend(named(&arguments.nemesis)?);
        Ok(Self {
            profile: arguments.profile.clone(),
            seed: plan.map(|plan| plan.seed).or(arguments.seed).unwrap_or_else(rand::random),
            nodes: plan.map(|plan| plan.nodes).or(arguments.nodes).unwrap_or(profile.nodes),
            seconds: plan.map_or(seconds, |plan| plan.seconds),
            mode: plan.map(|plan| plan.mode).or(arguments.mode).unwrap_or(profile.mode),
            overlap: arguments.overlap.map_or(profile.overlap, |overlap| usize::try_from(overlap).unwrap_or(1)),
            clients: arguments.clients.unwrap_or(profile.clients),
            hot: usize::try_from(arguments.hot)?,
            workloads: workloads(&or(&arguments.workload, &profile.workloads))?,
            nemeses,
            required: all_required,
            required_where_possible,
            leader_changes_min: arguments.leader_changes_min.unwrap_or(profile.leader_changes_min),
            updates_min: arguments.updates_min.unwrap_or(profile.acknowledged_min),
            stale_reads: arguments.stale_reads,
            rows: if arguments.no_rows { Rows::default() } else { profile.rows },
        })
    }

    /// What may happen.
    ///
    /// # Errors
    /// When a name means nothing.
    pub(crate) fn choices(&self) -> anyhow::Result<Vec<Choice>> {
        let mut choices = Vec::new();
        for name in &self.nemeses {
            for choice in Choice::named(name).map_err(anyhow::Error::msg)? {
                if !choices.contains(&choice) {
                    choices.push(choice);
                }
            }
        }
        Ok(choices)
    }
}

/// The workloads of these names; `all` is each.
fn workloads(names: &[String]) -> anyhow::Result<Vec<Workload>> {
    if names == ["all"] {
        return Ok(Workload::ALL.to_vec());
    }
    let unknown = |name: &String| {
        let known = Workload::ALL.map(|workload| workload.to_string()).join(", ");
        anyhow::anyhow!("there is no workload {name:?}; there are {known}, and all")
    };
    names.iter().map(|name| Workload::from_str(name, true).map_err(|_| unknown(name))).collect()
}

/// Faults with how often they must have been felt: once, unless a number is behind a colon.
fn required(names: &[String]) -> anyhow::Result<Vec<Required>> {
    let mut required = Vec::new();
    for name in names {
        let (name, least) = name.split_once(':').unwrap_or((name, "1"));
        let least = least.parse().map_err(|_| anyhow::anyhow!("--require {name}: a number follows the colon"))?;
        for choice in Choice::named(name).map_err(anyhow::Error::msg)? {
            required.push(Required { kind: choice.kind.name().to_owned(), least });
        }
    }
    Ok(required)
}

/// What `--nemesis` says must have been felt: each fault that it names, and one of each group.
fn named(names: &[String]) -> anyhow::Result<Vec<Required>> {
    if names == ["none"] {
        return Ok(Vec::new());
    }
    let mut all: Vec<Required> = Vec::new();
    let groups = |name| if name == "all" { GROUPS.to_vec() } else { vec![name] };
    for name in names.iter().map(String::as_str).flat_map(groups) {
        let choices = Choice::named(name).map_err(anyhow::Error::msg)?;
        let one = Required::any_of(&choices.iter().map(|choice| choice.kind.name()).collect::<Vec<&str>>());
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        arguments: RunArguments,
    }

    fn settings(words: &[&str]) -> anyhow::Result<Settings> {
        let program = Program::try_parse_from([&["program"][..], words].concat())?;
        Settings::of(&program.arguments, None)
    }

    #[test]
    fn what_is_said_counts_more_than_the_profile() {
        let of_profile = settings(&["--profile", "ci", "--seed", "7"]).unwrap();
        assert_eq!((of_profile.seconds, of_profile.seed, of_profile.nodes), (120, 7, 3));
        assert_eq!(of_profile.workloads, Workload::ALL);
        let said =
            ["--profile", "ci", "--minutes", "2", "--nodes", "5", "--workload", "register", "--require", "kill:4"];
        let said = settings(&said).unwrap();
        assert_eq!((said.seconds, said.nodes), (120, 5));
        assert_eq!(said.workloads, [Workload::Register]);
        assert!(said.required.contains(&Required { kind: "kill".to_owned(), least: 4 }));
    }

    #[test]
    fn who_asks_for_other_faults_is_held_to_those_and_not_to_the_profile() {
        let other = settings(&["--profile", "ci", "--nemesis", "pause", "--require", "pause:2"]).unwrap();
        assert_eq!(other.required, [Required { kind: "pause".to_owned(), least: 2 }]);
        assert_eq!(other.required_where_possible, [Required::any_of(&["pause"])]);
        let none = settings(&["--nemesis", "none"]).unwrap();
        assert!(none.choices().unwrap().is_empty() && none.required_where_possible.is_empty());
    }

    #[test]
    fn each_fault_that_is_named_must_be_felt_and_one_of_each_group() {
        let names = "kill-leader,kill-follower,partition,clock";
        let required = settings(&["--nemesis", names]).unwrap().required_where_possible;
        let kinds: Vec<Vec<&str>> = required.iter().map(|one| one.kinds().collect()).collect();
        assert_eq!((kinds.len(), required[0].least), (3, 1), "{kinds:?}");
        assert_eq!(kinds[0], ["kill"]);
        assert!(kinds[1].contains(&"isolate") && kinds[1].contains(&"mute"), "{kinds:?}");
        assert_eq!(kinds[2], ["clock-jump", "clock-rate", "clock-strobe"]);
        let all = settings(&["--nemesis", "all"]).unwrap().required_where_possible;
        assert_eq!(all.len(), GROUPS.len(), "{all:?}");
    }

    #[test]
    fn what_a_profile_measures_can_be_left_out() {
        assert_ne!(settings(&["--profile", "long"]).unwrap().rows, Rows::default());
        assert_eq!(settings(&["--profile", "long", "--no-rows"]).unwrap().rows, Rows::default());
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        for words in
            [["--workload", "registers"], ["--require", "kills"], ["--require", "kill:often"], ["--nodes", "4"]]
        {
            assert!(settings(&words).is_err(), "{words:?}");
        }
        let error = settings(&["--nemesis", "kil"]).unwrap_err();
        assert!(error.to_string().contains("there is no fault \"kil\""), "{error}");
        let error = settings(&["--workload", "registers"]).unwrap_err().to_string();
        assert!(error.contains("there is no workload \"registers\"; there are register, batch,"), "{error}");
    }

    #[test]
    fn every_profile_can_be_read_and_names_what_there_is() {
        for name in Profile::NAMES {
            let settings = settings(&["--profile", name]).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let kinds: Vec<_> = settings.choices().unwrap().into_iter().map(|choice| choice.kind.name()).collect();
            for required in settings.required.iter().chain(&settings.required_where_possible) {
                assert!(kinds.contains(&required.kind.as_str()), "{name} requires {} and never does it", required.kind);
            }
        }
    }
}
