//! The files that were read, and where in them a diagnostic points to, whichever side it comes from. Only
//! files that this command read are shown: a gateway may name any.

use std::collections::BTreeMap;

use openshell_proto::v1::ProviderProfileDiagnostic;

use crate::excerpt::Excerpt;
use crate::locate::locate;

/// Places that are shown: the diagnostics are all listed anyway.
const SHOWN_MAX: usize = 10;

/// Texts by the name that requests carry, and where the parser stopped in those that it refused.
#[derive(Debug, Default)]
pub(super) struct Places {
    texts: BTreeMap<String, String>,
    refused: BTreeMap<String, (usize, usize)>,
}

impl Places {
    pub(super) fn add(&mut self, source: &str, text: String) {
        self.texts.insert(source.to_owned(), text);
    }

    /// Remembers a line and a column, from 1.
    pub(super) fn refuse(&mut self, source: &str, place: (usize, usize)) {
        self.refused.insert(source.to_owned(), place);
    }

    /// What the diagnostics point to, as far as it can be found.
    pub(super) fn excerpts(&self, diagnostics: &[ProviderProfileDiagnostic]) -> Vec<Excerpt> {
        diagnostics.iter().filter_map(|diagnostic| self.excerpt(diagnostic)).take(SHOWN_MAX).collect()
    }

    fn excerpt(&self, diagnostic: &ProviderProfileDiagnostic) -> Option<Excerpt> {
        let source = diagnostic.source.as_str();
        let text = self.texts.get(source)?;
        let (place, label) = match self.refused.get(source) {
            Some(place) => (*place, "here"),
            None => (locate(text, &diagnostic.field)?, diagnostic.field.as_str()),
        };
        Some(Excerpt::new(source, text, place, label).titled(diagnostic.message.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Places, SHOWN_MAX};
    use crate::commands::provider_profile::diagnostics::local;

    #[test]
    fn a_diagnostic_points_to_its_field_or_to_where_the_parser_stopped() {
        let mut places = Places::default();
        places.add("a.yaml", "id: a\nendpoints:\n- host: '*'\n".to_owned());
        places.add("b.yaml", "id: [".to_owned());
        places.refuse("b.yaml", (1, 5));
        let found = places.excerpts(&[
            local("a.yaml", "a", "endpoints[0].host", "too wide"),
            local("b.yaml", "", "file", "no list"),
            local("a.yaml", "a", "resource_version", "missing"),
            local("elsewhere.yaml", "a", "id", "taken"),
        ]);
        let titles: Vec<_> = found.iter().map(|place| (place.title.as_str(), place.label.as_str())).collect();
        assert_eq!(titles, [("too wide", "endpoints[0].host"), ("no list", "here")]);
    }

    #[test]
    fn not_all_of_many_places_are_shown() {
        let mut places = Places::default();
        places.add("a.yaml", "id: a\n".to_owned());
        let diagnostics = vec![local("a.yaml", "a", "id", "wrong"); 50];
        assert_eq!(places.excerpts(&diagnostics).len(), SHOWN_MAX);
    }
}
