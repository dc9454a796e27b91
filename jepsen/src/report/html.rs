//! The page: one file that needs nothing else, to be read from top to bottom. What is drawn comes ready from the modules
//! beside this one; everything else that a run said is escaped here.

use std::fmt::Write;

use super::faults::{self, Band, Fault};
use super::gaps::{self, gaps};
use super::latency::{self, Point};
use super::svg::{escape, number};
use super::{Outcome, strip, violations};
use crate::checker::{Findings, Verdict};
use crate::history::Story;
use crate::scoreboard::{Board, Line};

/// More gaps than this are not listed.
const GAPS_MAX: usize = 30;

/// What a run left, for its page.
#[derive(Debug)]
pub(super) struct Content<'a> {
    /// Of the page: the folder's name.
    pub(super) title: String,
    /// Names and values of what is known of the run.
    pub(super) facts: Vec<(String, String)>,
    pub(super) story: &'a Story<'a>,
    /// What the checkers said; none when the run came to no judgement.
    pub(super) findings: Option<Findings>,
    /// What the program ended with, if the folder says it.
    pub(super) outcome: Option<Outcome>,
    pub(super) board: Board,
    /// The command that does the same again.
    pub(super) replay: String,
}

/// The page as text.
pub(super) fn page(content: &Content<'_>) -> String {
    let story = content.story;
    let faults = faults::faults(story.lines);
    let end = end(story);
    let bands = faults::bands(&faults, end);
    let points: Vec<Point> = story.operations.iter().filter_map(Point::of).collect();
    let mut page = String::new();
    let title = escape(&content.title);
    let _ = write!(page, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n");
    let _ = write!(page, "<style>{STYLE}</style>\n<h1>{title}</h1>\n");
    page.push_str(&verdict(content));
    page.push_str(&facts(&content.facts));
    let _ = writeln!(page, "<p>To do the same again:</p>\n<pre>{}</pre>", escape(&content.replay));
    section(&mut page, "Checkers", &checkers(content.findings.as_ref()));
    section(&mut page, "Scoreboard", &scoreboard(&content.board));
    section(&mut page, "Latency", &latency::scatter(&points, &bands, end));
    section(&mut page, "Quantiles", &latency::quantiles(&points, &bands, end));
    section(&mut page, "Rate", &latency::rate(&points, &bands, end));
    let strip = strip::strip(story.lines, &bands, end);
    let nobody = || "<p>The history does not say who led.</p>\n".to_owned();
    section(&mut page, "Leaders and terms", &strip.unwrap_or_else(nobody));
    section(&mut page, "Times without an acknowledged write", &availability(story, &bands));
    section(&mut page, "Violations", &timelines(content, &bands));
    section(&mut page, "Faults", &coverage(&faults));
    page.push_str("</html>\n");
    page
}

fn section(page: &mut String, title: &str, body: &str) {
    let _ = write!(page, "<h2>{title}</h2>\n{body}");
}

/// When the last call returned, in seconds.
fn end(story: &Story<'_>) -> f64 {
    let moments = story.operations.iter().flat_map(|one| [one.invoked_ns, one.returned_ns]);
    latency::seconds(moments.filter(|moment| *moment < u64::MAX).max().unwrap_or_default()).max(1.0)
}

/// What the program ended with, in which a measurement is too that did not come about, or lost something. A folder that does
/// not say has the worst of what the checkers say and the figures do.
fn verdict(content: &Content<'_>) -> String {
    let outcome = content.outcome.unwrap_or_else(|| {
        let checkers = content.findings.as_ref().map_or(Outcome::NotJudged, |findings| findings.verdict().into());
        checkers.max(content.board.of_run().into())
    });
    let (class, words) = match outcome {
        Outcome::Passed => ("good", "every checker passed"),
        Outcome::Violated => ("bad", "a property was violated"),
        Outcome::Unknown => ("doubt", "it was not decided, which is no pass"),
        Outcome::NotJudged => ("doubt", "not all that was asked for came about, which is no pass"),
    };
    format!("<p class=\"verdict {class}\">{}: {words}</p>\n", outcome.word())
}

fn facts(facts: &[(String, String)]) -> String {
    let rows = facts.iter().map(|(name, value)| vec![escape(name), escape(value)]);
    table(&[], rows)
}

fn checkers(findings: Option<&Findings>) -> String {
    let each = findings.into_iter().flat_map(|findings| &findings.0);
    let rows = each.map(|finding| {
        let counts: Vec<String> = finding.counts.iter().map(|(name, number)| format!("{number} {name}")).collect();
        let said = finding.said.iter().map(|said| escape(said)).collect::<Vec<_>>().join("<br>");
        let verdict = match finding.verdict {
            Verdict::Passed => "passed",
            Verdict::Unknown => "UNKNOWN",
            Verdict::Violated => "VIOLATED",
        };
        vec![escape(&finding.checker), verdict.to_owned(), escape(&counts.join(", ")), said]
    });
    table(&["checker", "verdict", "looked at", "why"], rows)
}

fn scoreboard(board: &Board) -> String {
    let row = |line: &Line| {
        let samples = if line.samples == 0 { String::new() } else { format!(" of {}", line.samples) };
        let value =
            line.value.map_or_else(|| "none".to_owned(), |value| format!("{} {}{samples}", number(value), line.unit));
        let bound = line.bound.map_or_else(String::new, |bound| format!("below {bound:.2e} at 95 %"));
        let seeds: Vec<String> = line.seeds.iter().map(ToString::to_string).collect();
        let standing = match &line.why {
            Some(why) => format!("{}: {why}", line.standing.name()),
            None => line.standing.name().to_owned(),
        };
        [
            &line.figure,
            &format!("{}: {}", line.title, line.what),
            &value,
            &bound,
            &line.limit,
            &standing,
            &seeds.join(", "),
            &line.anchor,
        ]
        .map(|cell| escape(cell))
        .to_vec()
    };
    let headings = ["figure", "what", "value", "probability of a failure", "limit", "standing", "seeds", "of others"];
    let scope = "Of this folder alone, unless <code>openshell-jepsen scoreboard</code> put others with it.";
    format!("<p>{}</p>\n<p>{scope}</p>\n{}", escape(&board.verdict()), table(&headings, board.lines.iter().map(row)))
}

fn availability(story: &Story<'_>, bands: &[Band]) -> String {
    let gaps = gaps(&story.operations, bands);
    let rows = gaps
        .iter()
        .take(GAPS_MAX)
        .map(|gap| vec![number(gap.lasts()), number(gap.from), number(gap.until), escape(&gap.faults.join("; "))]);
    let (count, least) = (gaps.len(), gaps::LEAST);
    let sentence = format!("<p>{count} of {least} s or more, the longest first, {GAPS_MAX} at most.</p>\n");
    sentence + &table(&["lasts, s", "from, s", "until, s", "faults meanwhile"], rows)
}

fn timelines(content: &Content<'_>, bands: &[Band]) -> String {
    let mut body = String::new();
    let findings = content.findings.iter().flat_map(|findings| &findings.0);
    for evidence in findings.flat_map(|finding| &finding.evidence) {
        let _ = writeln!(body, "<h3>{}</h3>", escape(&evidence.object));
        match violations::timeline(content.story, evidence, bands) {
            Ok(timeline) => body.push_str(&format!("<div class=\"wide\">{timeline}</div>\n")),
            Err(why) => body.push_str(&format!("<p>{}</p>\n", escape(&why))),
        }
    }
    if body.is_empty() {
        return "<p>None that a search found.</p>\n".to_owned();
    }
    let legend = "The few calls that no order explains together. Numbers are places in the longest order of some of them; \
        red is the call that cannot come next. Point at a call for the reason.";
    format!("<p>{legend}</p>\n{body}")
}

fn coverage(faults: &[Fault]) -> String {
    let kinds = faults::coverage(faults);
    let rows = kinds.iter().map(|(kind, coverage)| {
        let reasons = coverage.reasons.iter().map(|(why, count)| format!("{count} times: {}", escape(why)));
        vec![
            escape(kind),
            coverage.installed.to_string(),
            coverage.skipped.to_string(),
            coverage.indeterminate.to_string(),
            reasons.collect::<Vec<_>>().join("<br>"),
        ]
    });
    table(&["fault", "installed", "skipped", "indeterminate", "why not"], rows)
}

/// A table of cells that are escaped already.
fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = "<table>\n".to_owned();
    if !headings.is_empty() {
        let _ = writeln!(table, "<tr><th>{}</th></tr>", headings.join("</th><th>"));
    }
    for row in rows {
        let _ = writeln!(table, "<tr><td>{}</td></tr>", row.join("</td><td>"));
    }
    table + "</table>\n"
}

const STYLE: &str = "
body { font: 14px/1.45 system-ui, sans-serif; max-width: 1040px; margin: 24px auto; padding: 0 16px; color: #222; }
h2 { margin: 28px 0 6px; font-size: 17px; }
table { border-collapse: collapse; margin: 6px 0; }
td, th { border-bottom: 1px solid #ddd; padding: 3px 9px 3px 0; text-align: left; vertical-align: top; }
pre { background: #f4f4f4; padding: 8px; overflow-x: auto; }
svg { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; } .wide svg { width: auto; min-width: 100%; }
.verdict { font-size: 18px; font-weight: 600; padding: 8px 12px; border-radius: 4px; }
.good { background: #dff2df; } .bad { background: #f8d7d7; } .doubt { background: #faeccb; }
svg text { font: 10px system-ui, sans-serif; fill: #444; }
svg .caption { font-size: 11px; } svg .label { font-size: 9px; }
.axis { stroke: #555; stroke-width: 1; } .grid { stroke: #e6e6e6; stroke-width: 1; }
.band { fill: #e8a33d; fill-opacity: .18; } .band.idle { fill: #999; fill-opacity: .12; }
.ok { fill: #2a7fbd; } .fail { fill: #d98a1f; } .info { fill: #b0357a; }
rect.few { fill-opacity: .35; } rect.some { fill-opacity: .65; }
polyline { fill: none; stroke-width: 1.4; }
polyline.p50 { stroke: #2a7fbd; } polyline.p95 { stroke: #4c9a4c; } polyline.p99 { stroke: #d98a1f; }
polyline.max { stroke: #c43c3c; stroke-dasharray: 3 2; }
circle.p50, svg text.p50 { fill: #2a7fbd; } circle.p95, svg text.p95 { fill: #4c9a4c; }
circle.p99, svg text.p99 { fill: #d98a1f; } circle.max, svg text.max { fill: #c43c3c; }
.reign { fill-opacity: .35; } .reign.self { fill-opacity: 1; } .reign.none { fill: #bbb; }
.leader0 { fill: #7a5fb0; } .leader1 { fill: #2a7fbd; } .leader2 { fill: #4c9a4c; }
.leader3 { fill: #d98a1f; } .leader4 { fill: #b0357a; } .leader5 { fill: #3aa6a0; }
.call { stroke: #fff; stroke-width: 1; } .call.open { fill-opacity: .35; } .call.blocking { fill: #d22; }
";

#[cfg(test)]
mod tests;
