//! What a build needs besides cargo, and how it gets here. Installs system packages when it runs as root
//! on a system with apt; otherwise it prints the exact command and stops.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::output;

/// Something that must be on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requirement {
    CompilerC,
    CompilerCxx,
    Libclang,
    Namespaces,
    Faults,
    SystemdAnalyze,
    Python,
    PythonVenv,
}

const ALL: [Requirement; 8] = [
    Requirement::CompilerC,
    Requirement::CompilerCxx,
    Requirement::Libclang,
    Requirement::Namespaces,
    Requirement::Faults,
    Requirement::SystemdAnalyze,
    Requirement::Python,
    Requirement::PythonVenv,
];

/// Each of a kind of fault.
const FAULT_PROGRAMS: [&str; 9] =
    ["strace", "iptables", "faketime", "mkfs.ext4", "mount", "fsfreeze", "prlimit", "unshare", "setpriv"];

impl Requirement {
    /// What it is, and what for.
    fn what(self) -> &'static str {
        match self {
            Self::CompilerC => "a C compiler (cc), which links programs and compiles ring",
            Self::CompilerCxx => "a C++ compiler (c++), which compiles RocksDB",
            Self::Libclang => "libclang, with which bindgen reads RocksDB's headers",
            Self::Namespaces => {
                "the programs of iproute2, nft and nsenter, with which the jepsen scenario cuts nodes off"
            }
            Self::Faults => {
                "strace, iptables, faketime, ext4's tools, mount and util-linux, with which the jepsen scenario spoils disks, \
                 links, clocks and limits"
            }
            Self::SystemdAnalyze => "the program systemd-analyze, with which a test reads the unit of deploy/",
            Self::Python => "python3, whose script computes the hashes that ours are compared with",
            Self::PythonVenv => "python3's venv with pip, into which a test installs a released client",
        }
    }

    /// Packages of Debian and Ubuntu. `clang` brings the headers of the compiler that libclang looks for.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::CompilerC => &["gcc", "libc6-dev"],
            Self::CompilerCxx => &["g++"],
            Self::Libclang => &["clang", "libclang-dev"],
            Self::Namespaces => &["iproute2", "nftables", "util-linux"],
            Self::Faults => &["strace", "iptables", "faketime", "e2fsprogs", "mount", "util-linux"],
            Self::SystemdAnalyze => &["systemd"],
            Self::Python => &["python3"],
            Self::PythonVenv => &["python3-venv"],
        }
    }

    fn is_met(self) -> bool {
        match self {
            Self::CompilerC => program_of(&["CC"], &["cc", "gcc", "clang"]),
            Self::CompilerCxx => program_of(&["CXX"], &["c++", "g++", "clang++"]),
            Self::Libclang => libclang(&libclang_folders()).is_some(),
            // Without root no network can be cut, and the scenario says so.
            Self::Namespaces => !may_cut_networks() || are_there(&["ip", "nft", "tc", "ss", "nsenter"]),
            // Without one of them a run leaves a kind of fault out, which the gate must not do unnoticed.
            Self::Faults => !may_cut_networks() || are_there(&FAULT_PROGRAMS),
            Self::SystemdAnalyze => !on_linux() || program_of(&[], &["systemd-analyze"]),
            Self::Python => program_of(&[], &["python3"]),
            // Debian's python3 has venv, but without this package nothing that puts pip into one.
            Self::PythonVenv => answers("python3", &["-c", "import ensurepip, venv"]),
        }
    }
}

/// Makes sure that everything can be built, or says what is missing and how to get it.
///
/// Errors: something is missing and could not be installed. Repeating is safe.
pub(crate) fn prepare() -> Result<()> {
    components()?;
    let missing = missing(Requirement::is_met);
    if missing.is_empty() {
        return Ok(());
    }
    for requirement in &missing {
        output::line(&format!("missing: {}", requirement.what()));
    }
    let packages = packages(&missing);
    if !program_of(&[], &["apt-get"]) {
        bail!("install what is missing above; on Debian and Ubuntu the packages are: {}", packages.join(" "));
    }
    if !is_root() {
        bail!("as root, run:\n  {}", install_command(&packages));
    }
    output::heading(&format!("installing system packages: {}", packages.join(" ")));
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"][..], &packages].concat())?;
    match missing_names(Requirement::is_met) {
        names if names.is_empty() => Ok(()),
        names => bail!("the packages are installed, and still missing is {names}"),
    }
}

/// rustfmt and clippy come with the pinned toolchain (`rust-toolchain.toml`) unless it was installed by hand.
fn components() -> Result<()> {
    for (name, component) in [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        if answers(name, &["--version"]) {
            continue;
        }
        output::line(&format!("missing: {component}; running `rustup component add {component}`"));
        let status = Command::new("rustup").args(["component", "add", component]).status().with_context(|| {
            format!("{component} is missing and rustup cannot be started; install the toolchain of rust-toolchain.toml with it")
        })?;
        if !status.success() {
            bail!("`rustup component add {component}` failed with {status}");
        }
    }
    Ok(())
}

fn missing(is_met: impl Fn(Requirement) -> bool) -> Vec<Requirement> {
    ALL.into_iter().filter(|requirement| !is_met(*requirement)).collect()
}

fn missing_names(is_met: impl Fn(Requirement) -> bool) -> String {
    missing(is_met).iter().map(|requirement| requirement.what()).collect::<Vec<_>>().join("; ")
}

fn packages(missing: &[Requirement]) -> Vec<&'static str> {
    missing.iter().flat_map(|requirement| requirement.packages()).copied().collect()
}

fn install_command(packages: &[&str]) -> String {
    format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "))
}

fn apt(arguments: &[&str]) -> Result<()> {
    output::line(&format!("$ apt-get {}", arguments.join(" ")));
    let status = Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments)
        .status()
        .context("apt-get could not be started")?;
    match status.success() {
        true => Ok(()),
        false => bail!("apt-get {} failed with {status}", arguments.join(" ")),
    }
}

fn on_linux() -> bool {
    cfg!(target_os = "linux")
}

/// Network namespaces are Linux's, and making them is for root.
pub(crate) fn may_cut_networks() -> bool {
    on_linux() && is_root()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Whether one of the variables names a program, or one of the programs is on the path.
fn program_of(variables: &[&str], programs: &[&str]) -> bool {
    let is_named = |name: &&str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    variables.iter().any(is_named) || programs.iter().any(is_there)
}

/// Whether all of these programs are on the path.
fn are_there(programs: &[&str]) -> bool {
    programs.iter().all(|program| program_of(&[], &[program]))
}

/// Where bindgen looks: `LIBCLANG_PATH` alone when it is set, else the usual folders.
fn libclang_folders() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("LIBCLANG_PATH").filter(|path| !path.is_empty()) {
        return vec![PathBuf::from(path)];
    }
    let mut folders: Vec<PathBuf> =
        ["/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/opt/llvm/lib", "/opt/homebrew/opt/llvm/lib"]
            .map(PathBuf::from)
            .into();
    folders.push(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH).into());
    folders.push("/Library/Developer/CommandLineTools/usr/lib".into());
    let installed = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_llvm = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("llvm"));
    folders.extend(installed.filter(is_llvm).map(|folder| folder.join("lib")));
    folders
}

/// The shared library in the first folder that holds one. A path to the library itself will do.
fn libclang(folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().find_map(|folder| {
        if is_libclang(folder) && folder.is_file() {
            return Some(folder.clone());
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| is_libclang(path)).min()
    })
}

/// `libclang.so`, `libclang.so.14`, `libclang-14.so`, `libclang-14.so.1`, `libclang.dylib`; not `libclang-cpp`.
fn is_libclang(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(rest) = name.strip_prefix("libclang") else { return false };
    let is_version = |letter: char| letter.is_ascii_digit() || letter == '.';
    let ending = match rest.strip_prefix('-') {
        Some(rest) => rest.trim_start_matches(is_version),
        None => rest.strip_prefix('.').unwrap_or_default(),
    };
    matches!(ending, "so" | "dylib") || ending.starts_with("so.")
}

#[cfg(test)]
mod tests {
    use super::{Requirement, install_command, is_libclang, libclang, missing, missing_names, packages};
    use std::path::Path;

    #[test]
    fn the_command_installs_what_is_missing_and_nothing_else() {
        let without_libclang = missing(|requirement| requirement != Requirement::Libclang);
        assert_eq!(without_libclang, [Requirement::Libclang]);
        assert_eq!(
            install_command(&packages(&without_libclang)),
            "apt-get update && apt-get install -y --no-install-recommends clang libclang-dev"
        );
        assert!(missing(|_| true).is_empty());
        assert!(missing_names(|_| false).contains("libclang"));
    }

    #[test]
    fn libclang_is_found_by_the_names_that_systems_give_it() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so",
            "libclang-14.so.13",
            "libclang-14.0.6.so",
            "libclang.dylib",
        ] {
            assert!(is_libclang(Path::new(name)), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangAST.a", "libclang.a", "libclang.so1", "clang", "libclang-14.a"] {
            assert!(!is_libclang(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn libclang_is_looked_for_in_each_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
        std::fs::create_dir_all(&empty).unwrap();
        std::fs::create_dir_all(&full).unwrap();
        assert_eq!(libclang(&[empty.clone(), full.clone()]), None);
        let library = full.join("libclang-18.so.1");
        std::fs::write(&library, "").unwrap();
        assert_eq!(libclang(&[empty, full]), Some(library.clone()));
        assert_eq!(libclang(std::slice::from_ref(&library)), Some(library));
    }
}
