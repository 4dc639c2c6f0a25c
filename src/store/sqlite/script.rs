//! Statements that run one after another without us.
//!
//! A connection has a thread of its own, and each statement is a way to it and back: for a single charge that costs more than what
//! the statement does. A script is one way for all of them. Statements whose rows are none are run too; they do nothing, quickly.

use std::sync::OnceLock;

use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::{
    Arguments, AssertSqlSafe, Either, Executor,
    sqlite::{SqliteArguments, SqliteConnection, SqliteRow},
};

use super::writer::json;
use crate::store::{StoreError, sql::tables::WithBodies};

/// Statements in their order. The parameters of each are `?1`, its rows as a JSON array, and, if it has one, `?2`, their bodies.
pub(super) struct Script {
    statements: &'static [&'static str],
    text: OnceLock<String>,
}

/// The parameters of a script, in the order of its statements.
#[derive(Default)]
pub(super) struct Parameters(Vec<Parameter>);

enum Parameter {
    Rows(String),
    Bodies(Vec<u8>),
}

/// What one statement of a script did.
#[derive(Default)]
pub(super) struct Done {
    /// What it selected.
    pub(super) rows: Vec<SqliteRow>,
    /// How many rows it changed, if it changes any.
    pub(super) changed: u64,
}

impl Script {
    pub(super) const fn new(statements: &'static [&'static str]) -> Script {
        Script { statements, text: OnceLock::new() }
    }

    /// Runs all statements, up to the first that fails. What each of them did, in their order.
    pub(super) async fn run(
        &'static self,
        db: &mut SqliteConnection,
        Parameters(parameters): Parameters,
    ) -> Result<Vec<Done>, StoreError> {
        let mut arguments = SqliteArguments::default();
        for parameter in parameters {
            let added = match parameter {
                Parameter::Rows(json) => arguments.add(json),
                Parameter::Bodies(bytes) => arguments.add(bytes),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        let mut answers = db.fetch_many(sqlx::query_with(AssertSqlSafe(self.text()), arguments));
        let mut all = Vec::with_capacity(self.statements.len());
        let mut done = Done::default();
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Either::Right(row) => done.rows.push(row),
                Either::Left(result) => {
                    done.changed = result.rows_affected();
                    all.push(std::mem::take(&mut done));
                }
            }
        }
        if all.len() == self.statements.len() {
            Ok(all)
        } else {
            Err(StoreError::Refused(format!("of {} statements the database ran {}", self.statements.len(), all.len())))
        }
    }

    /// The script as it is sent. Its parameters are counted through, and named: a number alone would be a place within a statement.
    fn text(&'static self) -> &'static str {
        self.text.get_or_init(|| {
            let mut count = 0;
            let mut numbered = |statement: &&str| {
                let own = (1..=2).take_while(|n| statement.contains(&format!("?{n}"))).count();
                let text = (1..=own).fold((*statement).to_owned(), |text, n| {
                    text.replace(&format!("?{n}"), &format!("${}", count + n))
                });
                count += own;
                text
            };
            self.statements.iter().map(&mut numbered).collect::<Vec<_>>().join(";\n")
        })
    }
}

impl Parameters {
    /// Whether there is a row at all.
    pub(super) fn are_rows(&self) -> bool {
        self.0.iter().any(|parameter| matches!(parameter, Parameter::Rows(json) if json != "[]"))
    }

    pub(super) fn rows<T: Serialize>(mut self, rows: &[T]) -> Parameters {
        self.0.push(Parameter::Rows(json(rows)));
        self
    }

    pub(super) fn bodies<T: Serialize>(mut self, WithBodies { rows, bodies }: WithBodies<T>) -> Parameters {
        self.0.push(Parameter::Rows(json(&rows)));
        self.0.push(Parameter::Bodies(bodies));
        self
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

    use super::*;

    static THREE: Script = Script::new(&[
        "CREATE TABLE kept AS SELECT value->>'n' AS n, CAST(substr(?2, value->>'body_at', value->>'body_bytes') AS TEXT) AS body FROM jsonb_each(?1)",
        "SELECT 'no parameter, and no row' WHERE false",
        "SELECT kept.n, kept.body FROM jsonb_each(?1) AS asked CROSS JOIN kept ON kept.n = asked.value ORDER BY kept.n DESC",
        "UPDATE kept SET n = n + 1 WHERE n IN (SELECT value FROM jsonb_each(?1))",
    ]);

    #[derive(Serialize)]
    struct Kept {
        n: u8,
        body_at: usize,
        body_bytes: usize,
    }

    #[tokio::test]
    async fn each_statement_of_a_script_has_its_own_parameters_and_its_own_answer() {
        let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let kept = [(1, 1, 2), (2, 3, 1), (3, 4, 3)].map(|(n, body_at, body_bytes)| Kept { n, body_at, body_bytes });
        let parameters = || {
            let rows = kept.iter().map(|Kept { n, body_at, body_bytes }| Kept {
                n: *n,
                body_at: *body_at,
                body_bytes: *body_bytes,
            });
            let kept = WithBodies { rows: rows.collect(), bodies: b"aabccc".to_vec() };
            Parameters::default().bodies(kept).rows(&[3, 1]).rows(&[2])
        };
        assert!(parameters().are_rows() && !Parameters::default().rows::<u8>(&[]).are_rows());
        let done = THREE.run(&mut db, parameters()).await.unwrap();
        let found = |row: &SqliteRow| (row.get::<u8, _>(0), row.get::<String, _>(1));
        assert_eq!(done.len(), 4);
        assert!(done[1].rows.is_empty());
        assert_eq!(done[2].rows.iter().map(found).collect::<Vec<_>>(), [(3, "ccc".to_owned()), (1, "aa".to_owned())]);
        assert_eq!(done[3].changed, 1);
        let error = THREE.run(&mut db, parameters()).await.map(|done| done.len()).unwrap_err();
        assert!(error.to_string().contains("kept"), "the first statement fails, and what it says is heard: {error}");
    }
}
