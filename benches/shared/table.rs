//! The table: each row is a subject beside its floor, as a ratio, against its budget.

use std::fmt;
use std::time::Duration;

/// A number per round: the median of that round's samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Adds the median of a round's times, in seconds.
    pub(crate) fn add_times(&mut self, times: &[Duration]) {
        let mut seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        self.0.push(median(&mut seconds));
    }

    /// Adds one number.
    pub(crate) fn add(&mut self, number: f64) {
        self.0.push(number);
    }

    /// Returns the sum of both, round by round.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a + b).collect())
    }

    /// Returns a multiple of it.
    pub(crate) fn times(&self, factor: f64) -> Self {
        Self(self.0.iter().map(|number| number * factor).collect())
    }

    fn median(&self) -> f64 {
        median(&mut self.0.clone())
    }

    fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// Returns this divided by `floor`, round by round.
    fn over(&self, floor: &Self) -> Self {
        Self(self.0.iter().zip(&floor.0).map(|(a, b)| a / b).collect())
    }
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => numbers[n / 2],
        n => f64::midpoint(numbers[n / 2 - 1], numbers[n / 2]),
    }
}

/// What a number counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Seconds.
    Time,
    /// Per second.
    Rate,
    /// Bytes.
    Size,
    /// A part of something.
    Share,
}

impl Unit {
    fn print(self, number: f64) -> String {
        match self {
            Self::Time if number < 1e-3 => format!("{:.0} µs", number * 1e6),
            Self::Time => format!("{:.2} ms", number * 1e3),
            Self::Rate => format!("{number:.0}/s"),
            Self::Size if number < 1e6 => format!("{:.0} KB", number / 1e3),
            Self::Size => format!("{:.1} MB", number / 1e6),
            Self::Share => format!("{:.2} %", number * 100.0),
        }
    }
}

/// What a row must keep to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    /// Subject over floor, at most.
    RatioAtMost(f64),
    /// Subject over floor, at least.
    RatioAtLeast(f64),
    /// The number itself, at most.
    AtMost(f64),
    /// The number itself, at least.
    AtLeast(f64),
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) subject: Series,
    /// What it is held against, and its numbers.
    pub(crate) floor: Option<(&'static str, Series)>,
    pub(crate) budgets: Vec<Budget>,
}

impl Row {
    fn ratio(&self) -> Option<Series> {
        let (_, floor) = self.floor.as_ref()?;
        Some(self.subject.over(floor))
    }

    fn print_budgets(&self) -> String {
        let print = |budget: &Budget| match *budget {
            Budget::RatioAtMost(most) => format!("≤ {most} ×"),
            Budget::RatioAtLeast(least) => format!("≥ {least} ×"),
            Budget::AtMost(most) => format!("≤ {}", self.unit.print(most)),
            Budget::AtLeast(least) => format!("≥ {}", self.unit.print(least)),
        };
        let budgets: Vec<String> = self.budgets.iter().map(print).collect();
        budgets.join(", ")
    }

    /// Returns by how much the worst budget is missed; empty without a budget.
    fn verdict(&self) -> String {
        let ratio = self.ratio().map_or(f64::NAN, |ratio| ratio.median());
        let value = self.subject.median();
        // How many times over the budget: above 1 is a miss.
        let over = |budget: &Budget| match *budget {
            Budget::RatioAtMost(most) => ratio / most,
            Budget::RatioAtLeast(least) => least / ratio,
            Budget::AtMost(most) => value / most,
            Budget::AtLeast(least) => least / value,
        };
        match self.budgets.iter().map(over).reduce(f64::max) {
            None => String::new(),
            Some(over) if over <= 1.0 => "met".into(),
            Some(over) => format!("missed, {over:.2} × the budget"),
        }
    }

    fn cells(&self, judged: bool) -> [String; 6] {
        let print = |series: &Series, print: &dyn Fn(f64) -> String| {
            let (least, most) = (series.least(), series.most());
            if series.0.len() < 2 {
                return print(series.median());
            }
            format!(
                "{} ({} – {})",
                print(series.median()),
                print(least),
                print(most)
            )
        };
        let in_unit = |number: f64| self.unit.print(number);
        [
            self.what.clone(),
            print(&self.subject, &in_unit),
            match &self.floor {
                Some((name, series)) => format!("{name}: {}", print(series, &in_unit)),
                None => "–".into(),
            },
            self.ratio().map_or("–".into(), |ratio| {
                print(&ratio, &|number| format!("{number:.2}"))
            }),
            self.print_budgets(),
            if judged {
                self.verdict()
            } else {
                "not judged".into()
            },
        ]
    }
}

/// All rows, printed as a Markdown table.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Row>,
    /// Tables of another shape, below.
    others: Vec<String>,
    judged: bool,
}

impl Table {
    /// Returns an empty table.
    pub(crate) fn new(judged: bool) -> Self {
        Self {
            rows: Vec::new(),
            others: Vec::new(),
            judged,
        }
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a table of another shape, its head first, to be printed below.
    pub(crate) fn add_other(&mut self, lines: &[Vec<String>]) {
        self.others.push(markdown(lines));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "What",
            "Median (least – most of the rounds)",
            "Held against",
            "Ratio",
            "Budget",
            "Verdict",
        ];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        lines.extend(self.rows.iter().map(|row| row.cells(self.judged).to_vec()));
        f.write_str(&markdown(&lines))?;
        for other in &self.others {
            write!(f, "\n{other}")?;
        }
        Ok(())
    }
}

/// Returns lines of cells as a Markdown table; the first is its head.
fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|cells| cells.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (at, cells) in lines.iter().enumerate() {
        for (cell, width) in cells.iter().zip(&widths) {
            text += &format!("| {cell:width$} ");
        }
        text += "|\n";
        if at == 0 {
            for width in &widths {
                text += &format!("|{}", "-".repeat(width + 2));
            }
            text += "|\n";
        }
    }
    text
}
