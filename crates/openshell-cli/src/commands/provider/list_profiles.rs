//! `openshell provider list-profiles`: what providers can be made from, grouped by category.

use clap::Args;
use openshell_proto::v1::{ListProviderProfilesRequest, ProviderProfile, ProviderProfileCategory as Category};
use openshell_providers::file;

use crate::commands::provider_profile::invalid;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, Paint, table};
use crate::pages::Window;

/// `openshell provider list-profiles`.
#[derive(Debug, Args)]
pub(crate) struct ListProfilesArguments {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Those of the whole platform.
    #[arg(long)]
    global: bool,
}

pub(crate) async fn run(arguments: ListProfilesArguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.session()?;
    let workspace = if arguments.global { String::new() } else { session.workspace.clone() };
    let request = ListProviderProfilesRequest { workspace, ..ListProviderProfilesRequest::default() };
    let profiles = session.list(&request, Window::all()).await?.items;
    let warnings: Vec<_> = profiles.iter().filter_map(invalid).collect();
    let text = match arguments.output {
        Format::Table => grouped(profiles, context.console.paint),
        Format::Json => file::render_json_list(&profiles),
        Format::Yaml => file::render_yaml_list(&profiles),
    };
    context.console.print(&text);
    for warning in warnings {
        context.console.warn(&warning);
    }
    Ok(())
}

/// By category number, then id; each category under its name, with a header of its own. What state they
/// are in is a column only when some profile is not valid.
fn grouped(mut profiles: Vec<ProviderProfile>, paint: Paint) -> String {
    if profiles.is_empty() {
        return "No provider profiles found.\n".to_owned();
    }
    profiles.sort_by(|left, right| (left.category, &left.id).cmp(&(right.category, &right.id)));
    let some_invalid = profiles.iter().any(|profile| !profile.invalid_reason.is_empty());
    let mut headers = vec!["ID", "SCOPE", "SOURCE", "NAME", "ENDPOINTS"];
    if some_invalid {
        headers.push("STATUS");
    }
    let row = |profile: &ProviderProfile| {
        let inference = if profile.inference_capable { " inference" } else { "" };
        let status = if profile.invalid_reason.is_empty() { "valid" } else { "invalid" };
        vec![
            cut(&profile.id, 32),
            profile.scope.clone(),
            cut(&profile.source, 24),
            cut(&profile.display_name, 40),
            format!("{:<2}{inference}", profile.endpoints.len()).trim_end().to_owned(),
            status.to_owned(),
        ]
    };
    let mut text = format!("{}\n", paint.bold("Available Provider Profiles:"));
    for group in profiles.chunk_by(|left, right| heading(left) == heading(right)) {
        let rows: Vec<_> = group.iter().map(row).collect();
        text.push_str(&format!("\n  {}\n", paint.bold(heading(&group[0]))));
        text.push_str(&table(&headers, &rows, "    ", paint));
    }
    text
}

fn heading(profile: &ProviderProfile) -> &'static str {
    match profile.category() {
        Category::Unspecified | Category::Other => "OTHER",
        Category::Inference => "INFERENCE",
        Category::Agent => "AGENT",
        Category::SourceControl => "SOURCE CONTROL",
        Category::Messaging => "MESSAGING",
        Category::Data => "DATA",
        Category::Knowledge => "KNOWLEDGE",
    }
}

fn cut(text: &str, length_max: usize) -> String {
    if text.chars().count() <= length_max {
        return text.to_owned();
    }
    text.chars().take(length_max - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::{cut, grouped};
    use crate::output::Paint;
    use openshell_proto::v1::{ProviderProfile, ProviderProfileCategory as Category};

    #[test]
    fn cli_scenario_32_categories_in_order_and_ids_sorted_within() {
        let profile = |id: &str, category: Category, inference_capable| ProviderProfile {
            id: id.into(),
            display_name: id.to_uppercase(),
            category: category.into(),
            source: "builtin".into(),
            inference_capable,
            ..ProviderProfile::default()
        };
        let text = grouped(
            vec![
                profile("zeta", Category::Inference, true),
                profile("alpha", Category::Inference, false),
                profile("gh", Category::SourceControl, false),
                profile("x", Category::Unspecified, false),
            ],
            Paint::plain(),
        );
        assert_eq!(
            text,
            "Available Provider Profiles:\n\n  OTHER\n    ID  SCOPE  SOURCE   NAME  ENDPOINTS\n    x          builtin  X     0\n\n  \
             INFERENCE\n    ID     SCOPE  SOURCE   NAME   ENDPOINTS\n    alpha         builtin  ALPHA  0\n    \
             zeta          builtin  ZETA   0  inference\n\n  SOURCE CONTROL\n    ID  SCOPE  SOURCE   NAME  ENDPOINTS\n    \
             gh         builtin  GH    0\n"
        );
        assert_eq!(grouped(Vec::new(), Paint::plain()), "No provider profiles found.\n");
    }

    #[test]
    fn what_is_not_valid_has_a_status_and_then_everything_has_one() {
        let profile = |id: &str, invalid_reason: &str| ProviderProfile {
            id: id.into(),
            scope: "workspace".into(),
            source: "user".into(),
            invalid_reason: invalid_reason.into(),
            ..ProviderProfile::default()
        };
        let text = grouped(vec![profile("acme", "binaries[0]: no path"), profile("tool", "")], Paint::plain());
        assert_eq!(
            text,
            "Available Provider Profiles:\n\n  OTHER\n    ID    SCOPE      SOURCE  NAME  ENDPOINTS  STATUS\n    \
             acme  workspace  user          0          invalid\n    tool  workspace  user          0          valid\n"
        );
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(cut("äääää", 5), "äääää");
        assert_eq!(cut("ääääää", 5), "ää...");
    }
}
