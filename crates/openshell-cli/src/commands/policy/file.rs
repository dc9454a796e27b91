//! Policy files (`cli.md` 4): reading one, and showing in it what is wrong, whichever side says so.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use openshell_client::CallError;
use openshell_proto::sandbox::SandboxPolicy;

use crate::excerpt::Excerpt;
use crate::failure::Failure;
use crate::locate::locate;

/// Places of one file that are shown.
const SHOWN_MAX: usize = 10;
/// The sections as a gateway calls them, and as files do.
const SECTIONS: [(&str, &str); 5] = [
    ("network_policies", "network_policies"),
    ("network_middlewares", "network_middlewares"),
    ("filesystem", "filesystem_policy"),
    ("landlock", "landlock"),
    ("process", "process"),
];

/// A policy, and the file that it was read from.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFile {
    pub(crate) policy: SandboxPolicy,
    name: String,
    text: String,
}

impl PolicyFile {
    /// Reads a file. The extension does not matter.
    ///
    /// Errors: it cannot be read, or is no policy; nothing was sent.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("could not read policy file {name}")).because(&error))?;
        match openshell_policy::yaml::parse(&text) {
            Ok(policy) => Ok(Self { policy, name, text }),
            Err(error) => {
                let place = error.line.map(|line| (line, error.column.unwrap_or(1)));
                let label = error.path.as_deref().unwrap_or("here");
                Err(Failure::new(format!("policy file {name} is not valid"))
                    .because(&error)
                    .at(place.map(|place| Excerpt::new(&name, &text, place, label)))
                    .advise("correct the file, then repeat the command; nothing was changed"))
            }
        }
    }

    /// The file of `sandbox create`: the one that a flag names, else the one of OPENSHELL_SANDBOX_POLICY, else
    /// none (`config.md` PM-13).
    pub(crate) fn read_chosen(flag: Option<PathBuf>) -> Result<Option<Self>, Failure> {
        chosen(flag, std::env::var_os("OPENSHELL_SANDBOX_POLICY")).map(|path| Self::read(&path)).transpose()
    }

    /// The failure of a call that sent this policy, with the fields that a refusal names.
    pub(crate) fn failure(&self, error: CallError) -> Failure {
        let fields = match &error {
            CallError::Refused(status) => fields(status.message()),
            CallError::NotDone { .. } | CallError::Unknown { .. } | CallError::Unreachable(_) => Vec::new(),
        };
        let excerpt =
            |field: &String| locate(&self.text, field).map(|place| Excerpt::new(&self.name, &self.text, place, field));
        Failure::from(error).at(fields.iter().filter_map(excerpt).take(SHOWN_MAX))
    }
}

fn chosen(flag: Option<PathBuf>, variable: Option<OsString>) -> Option<PathBuf> {
    flag.or_else(|| variable.filter(|value| !value.is_empty()).map(PathBuf::from))
}

/// The fields that a sentence names, as files have them: words that begin with a section and go on, or stand
/// before a colon.
fn fields(message: &str) -> Vec<String> {
    let mut fields = Vec::new();
    for word in message.split_whitespace() {
        let path = word.trim_matches(|letter: char| !(letter.is_alphanumeric() || "_-]".contains(letter)));
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let is_path = end < path.len() || word.ends_with(':');
        let section = SECTIONS.iter().find(|(section, _)| *section == &path[..end] && is_path);
        let field = section.map(|(_, in_files)| format!("{in_files}{}", &path[end..]));
        fields.extend(field.filter(|field| !fields.contains(field)));
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{PolicyFile, chosen, fields};
    use openshell_client::CallError;

    const TEXT: &str = "\
version: 1
network_policies:
  web:
    endpoints:
    - host: docs.example.com
      port: 443
    - host: '*'
      port: 443
";

    fn read(text: &str) -> Result<PolicyFile, crate::failure::Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("policy.yaml");
        std::fs::write(&path, text).expect("a file");
        PolicyFile::read(&path)
    }

    #[test]
    fn pm_13_the_flag_comes_before_the_variable() {
        let (flag, variable) = (|| Some(PathBuf::from("flag.yaml")), || Some("variable.yaml".into()));
        assert_eq!(chosen(flag(), variable()), flag());
        assert_eq!(chosen(None, variable()), Some(PathBuf::from("variable.yaml")));
        assert_eq!(chosen(None, Some("".into())), None);
        assert_eq!(chosen(None, None), None);
    }

    #[test]
    fn cli_scenario_63_an_unknown_key_is_shown_where_it_stands() {
        let failure = read(&TEXT.replacen("port", "prot", 1)).expect_err("no such key");
        assert!(failure.causes[0].contains("prot"), "{:?}", failure.causes);
        assert_eq!(failure.excerpts.len(), 1);
        assert!(failure.advice.is_some());
    }

    #[test]
    fn a_refusal_points_to_the_fields_that_it_names() {
        let file = read(TEXT).expect("a policy");
        let message = "policy contains unsafe content: network_policies.web.endpoints[1].host: '*' is too wide; \
                       network_policies.gone.name: wrong";
        let failure = file.failure(CallError::Refused(tonic::Status::invalid_argument(message)));
        let labels: Vec<_> = failure.excerpts.iter().map(|excerpt| excerpt.label.as_str()).collect();
        assert_eq!(labels, ["network_policies.web.endpoints[1].host", "network_policies.gone.name"]);
    }

    #[test]
    fn fields_have_the_names_that_files_use() {
        assert_eq!(
            fields("filesystem.read_only[0]: a path of the process is wrong; process.run_as_user: no; landlock: kept"),
            ["filesystem_policy.read_only[0]", "process.run_as_user", "landlock"]
        );
        assert_eq!(fields("the process network_policies cannot (filesystem) be"), [""; 0]);
    }
}
