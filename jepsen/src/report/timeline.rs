//! What happened to one profile, as lanes of its clients: which calls can be explained in which order, and the one that
//! cannot. Calls and returns stand at equal distances, in their order, since of a history that was made small most of the
//! time is empty. Choosing what is shown is in `violations`.

use super::faults::Band;
use super::latency::{Kind, seconds};
use super::svg::{Anchor, Area, Svg, number};

const LANE: f64 = 34.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 40.0;
/// The distance between two events, and the least width of the whole.
const STEP: f64 = 42.0;
const WIDTH_MIN: f64 = 1_000.0;

/// What the search made of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It has this place in the longest order that explains its calls, from 1.
    Placed(usize),
    /// After that order, it cannot have a place.
    Blocking,
    /// It was not reached.
    Open,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawn {
    pub(super) process: u64,
    pub(super) invoked_ns: u64,
    /// None when it never returned, or its outcome is unknown: it may take effect at any time.
    pub(super) returned_ns: Option<u64>,
    pub(super) kind: Kind,
    /// In a few words.
    pub(super) label: String,
    pub(super) role: Role,
    /// Why it could not come next.
    pub(super) why_not: Option<String>,
}

/// Draws the calls.
pub(super) fn draw(calls: &[Drawn], bands: &[Band]) -> String {
    let mut processes: Vec<u64> = calls.iter().map(|call| call.process).collect();
    processes.sort_unstable();
    processes.dedup();
    let mut moments: Vec<u64> =
        calls.iter().flat_map(|call| [Some(call.invoked_ns), call.returned_ns]).flatten().collect();
    moments.sort_unstable();
    moments.dedup();
    let right = (LEFT + STEP * (moments.len() as f64 + 1.0)).max(WIDTH_MIN - 10.0);
    let bottom = TOP + LANE * processes.len() as f64;
    let mut svg = Svg::new(right + 10.0, bottom + 30.0);
    let place = |rank: usize| LEFT + STEP * (rank as f64 + 0.5);
    for band in bands {
        draw_band(&mut svg, band, &moments, bottom);
    }
    for (index, process) in processes.iter().enumerate() {
        let y = TOP + LANE * (index as f64 + 0.5);
        svg.line((LEFT, y), (right, y), "grid");
        svg.text(LEFT - 8.0, y + 4.0, Anchor::End, "caption", &format!("client {process}"));
    }
    for (rank, moment) in moments.iter().enumerate() {
        svg.line((place(rank), bottom), (place(rank), bottom + 4.0), "axis");
        // As many as can be read.
        if rank.is_multiple_of(2) {
            svg.text(place(rank), bottom + 16.0, Anchor::Middle, "tick", &number(seconds(*moment)));
        }
    }
    svg.text(LEFT, bottom + 28.0, Anchor::Start, "tick", "seconds; not to scale");
    for call in calls {
        let lane = processes.binary_search(&call.process).unwrap_or_default();
        let rank = |moment: u64| moments.binary_search(&moment).unwrap_or_else(|rank| rank);
        let from = place(rank(call.invoked_ns));
        let until = call.returned_ns.map_or(right, |returned| place(rank(returned)));
        draw_call(
            &mut svg,
            call,
            Area { left: from, top: TOP + LANE * lane as f64, width: until - from, height: LANE },
        );
    }
    svg.finish()
}

fn draw_call(svg: &mut Svg, call: &Drawn, lane: Area) {
    let class = match call.role {
        Role::Placed(_) => format!("call {}", call.kind.class()),
        Role::Blocking => "call blocking".to_owned(),
        Role::Open => format!("call {} open", call.kind.class()),
    };
    let bar = Area { top: lane.top + 14.0, height: 14.0, width: lane.width.max(3.0), ..lane };
    let title = call.why_not.as_ref().map_or_else(|| call.label.clone(), |why| format!("{}: {why}", call.label));
    svg.rectangle(bar, &class, &title);
    let label = match call.role {
        Role::Placed(place) => format!("{place}: {}", call.label),
        Role::Blocking => format!("! {}", call.label),
        Role::Open => call.label.clone(),
    };
    svg.text(lane.left + 2.0, lane.top + 11.0, Anchor::Start, "label", &label);
}

/// From the first event that the fault was there for to the first after it.
fn draw_band(svg: &mut Svg, band: &Band, moments: &[u64], bottom: f64) {
    let rank = |limit: f64| moments.partition_point(|moment| seconds(*moment) < limit) as f64;
    let (from, until) = (LEFT + STEP * rank(band.from), LEFT + STEP * rank(band.until));
    if until > from {
        let class = band.class();
        svg.rectangle(
            Area { left: from, top: TOP - 20.0, width: until - from, height: bottom - TOP + 20.0 },
            class,
            &band.what,
        );
        svg.text(from + 3.0, TOP - 10.0, Anchor::Start, "tick", &band.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(process: u64, times: (u64, Option<u64>), label: &str, role: Role) -> Drawn {
        Drawn {
            process,
            invoked_ns: times.0,
            returned_ns: times.1,
            kind: Kind::Ok,
            label: label.to_owned(),
            role,
            why_not: None,
        }
    }

    #[test]
    fn each_client_has_a_lane_and_placed_calls_have_their_numbers() {
        let calls = [
            call(4, (1, Some(5)), "write 1 > a", Role::Placed(1)),
            call(9, (6, Some(9)), "read 1", Role::Blocking),
            call(4, (7, None), "write 2 > b", Role::Open),
        ];
        let drawn = draw(&calls, &[]);
        assert_eq!(drawn.matches(">client ").count(), 2);
        assert!(drawn.contains(">1: write 1 &gt; a</text>"), "{drawn}");
        assert!(drawn.contains("class=\"call blocking\"") && drawn.contains(">! read 1</text>"), "{drawn}");
        assert!(drawn.contains("class=\"call ok open\""), "{drawn}");
    }

    #[test]
    fn a_call_that_never_returned_reaches_to_the_end() {
        let drawn = draw(&[call(1, (10, None), "write", Role::Open)], &[]);
        // One moment at 111 pixels; the end is at 990.
        assert!(drawn.contains("<rect x=\"111.0\" y=\"54.0\" width=\"879.0\""), "{drawn}");
    }

    #[test]
    fn a_fault_stands_behind_the_events_that_it_lasted_for() {
        let calls = [call(1, (1_000_000_000, Some(2_000_000_000)), "read", Role::Placed(1))];
        let band = |from, until| Band { from, until, what: "pause".to_owned(), is_installed: true };
        assert!(draw(&calls, &[band(0.5, 1.5)]).contains("<rect x=\"90.0\" y=\"20.0\" width=\"42.0\""));
        assert!(!draw(&calls, &[band(5.0, 6.0)]).contains("class=\"band\""), "it came after all of them");
    }
}
