//! Rows for people and for programs.

use serde_json::{Map, Value};

/// Rows with the same columns, or one record.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
    single: bool,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Columns for people.
    Table,
    /// JSON for programs.
    Json,
}

impl Table {
    /// Begins rows with these columns.
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            single: false,
        }
    }

    /// Makes one record of fields.
    pub fn record(fields: Vec<(&'static str, Value)>) -> Self {
        let (columns, row) = fields.into_iter().unzip();
        Self {
            columns,
            rows: vec![row],
            single: true,
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    /// Returns true without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints.
    ///
    /// # Errors
    /// When there is no field of the name that was asked for.
    pub fn print(&self, format: Format, field: Option<&str>) -> Result<String, String> {
        if let Some(field) = field {
            let place = self
                .columns
                .iter()
                .position(|column| *column == field)
                .ok_or_else(|| {
                    format!(
                        "There is no field '{}'; there are: {}.",
                        policy::escape(field.as_bytes()),
                        self.columns.join(", ")
                    )
                })?;
            let lines = self.rows.iter().filter_map(|row| row.get(place));
            return Ok(lines.map(|value| plain(value) + "\n").collect());
        }
        Ok(match format {
            Format::Json => self.json(),
            Format::Table if self.single => self.fields(),
            Format::Table => self.grid(),
        })
    }

    fn json(&self) -> String {
        let mut objects = self.rows.iter().map(|row| {
            let fields = self.columns.iter().map(|column| (*column).to_owned());
            Value::Object(fields.zip(row.iter().cloned()).collect::<Map<_, _>>())
        });
        let value = if self.single {
            objects.next().unwrap_or(Value::Null)
        } else {
            Value::Array(objects.collect())
        };
        format!("{value:#}\n")
    }

    fn fields(&self) -> String {
        let width = self.columns.iter().map(|column| column.len()).max();
        let row = self.rows.first().map(Vec::as_slice).unwrap_or_default();
        self.columns
            .iter()
            .zip(row)
            .map(|(column, value)| {
                format!(
                    "{column:<width$}  {}\n",
                    plain(value),
                    width = width.unwrap_or(0)
                )
            })
            .collect()
    }

    fn grid(&self) -> String {
        let mut lines: Vec<Vec<String>> = vec![
            self.columns
                .iter()
                .map(|column| column.to_uppercase())
                .collect(),
        ];
        lines.extend(
            self.rows
                .iter()
                .map(|row| row.iter().map(plain).collect::<Vec<_>>()),
        );
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|place| {
                lines
                    .iter()
                    .filter_map(|line| line.get(place))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        lines
            .iter()
            .map(|line| {
                let cells: Vec<String> = line
                    .iter()
                    .zip(&widths)
                    .map(|(cell, width)| format!("{cell:<width$}"))
                    .collect();
                cells.join("  ").trim_end().to_owned() + "\n"
            })
            .collect()
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_rows_are_for_people_and_for_programs() {
        let mut table = Table::new(&["name", "mode"]);
        table.push(vec!["dev".into(), "sftp".into()]);
        table.push(vec!["live".into(), Value::Null]);
        assert_eq!(
            table.print(Format::Table, None).unwrap(),
            "NAME  MODE\ndev   sftp\nlive  -\n"
        );
        let json: Value = serde_json::from_str(&table.print(Format::Json, None).unwrap()).unwrap();
        assert_eq!(json[0]["mode"], "sftp");
        assert_eq!(
            table.print(Format::Table, Some("name")).unwrap(),
            "dev\nlive\n"
        );
        assert!(table.print(Format::Table, Some("nope")).is_err());
    }
}
