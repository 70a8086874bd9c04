//! What a database says that it holds.

use std::collections::BTreeMap;

use postgres::Client;

use super::quoted;
use crate::database::{Copying, Trouble};
use crate::fault::{Fault, OrFault};
use crate::pattern;

/// Relations that are a site's own: no extension brought them along.
const OWN: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS \
    (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.objid = c.oid AND d.deptype = 'e')";

/// A table with rows of its own.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// What of an extension's table is the site's.
    pub(super) condition: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its values can be handed over as the server keeps them.
    pub(super) binary: bool,
    /// It holds text, in which names may stand.
    pub(super) text: bool,
}

impl Source {
    pub(super) fn qualified(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// As people know it.
    pub(super) fn shown(&self) -> String {
        if self.schema == "public" {
            self.name.clone()
        } else {
            format!("{}.{}", self.schema, self.name)
        }
    }

    pub(super) fn without_rows(&self, how: &Copying<'_>) -> bool {
        how.without_rows
            .iter()
            .any(|wanted| pattern::matches(wanted.as_bytes(), self.name.as_bytes()))
    }
}

/// Lists the tables that hold rows, the largest first.
pub(super) fn tables(client: &mut Client) -> Result<Vec<Source>, Trouble> {
    let doing = || "listing the tables of a database";
    let rows = client
        .query(
            &format!(
                "SELECT c.oid, n.nspname::text, c.relname::text, e.condition \
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 LEFT JOIN LATERAL (SELECT x.extcondition[i] AS condition FROM pg_catalog.pg_extension x, \
                    pg_catalog.generate_subscripts(x.extconfig, 1) i WHERE x.extconfig[i] = c.oid) e ON true \
                 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND (({OWN}) OR e.condition IS NOT NULL) \
                 ORDER BY pg_catalog.pg_table_size(c.oid) DESC, 2, 3"
            ),
            &[],
        )
        .or_fault(doing)?;
    let mut tables = Vec::new();
    for row in rows {
        let oid: u32 = row.get(0);
        let columns = client
            .query(
                "WITH RECURSIVE base(oid, base) AS ( \
                   SELECT t.oid, t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.atttypid = t.oid \
                     WHERE a.attrelid = $1 AND a.attnum > 0 \
                   UNION SELECT b.oid, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END \
                     FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.base \
                     WHERE t.typtype = 'd' OR (t.typelem <> 0 AND t.typcategory = 'A')) \
                 SELECT a.attname::text, \
                   (t.oid < 16384 OR t.typtype = 'e') AND t.typsend <> 0 AND t.typname !~ '^_?reg', \
                   EXISTS (SELECT 1 FROM base b JOIN pg_catalog.pg_type x ON x.oid = b.base WHERE b.oid = t.oid \
                     AND (x.typcategory = 'S' AND x.typname NOT IN ('name', 'char') \
                          OR x.typname IN ('json', 'jsonb', 'xml', 'hstore') OR x.typtype = 'c')) \
                 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
                 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum",
                &[&oid],
            )
            .or_fault(doing)?;
        tables.push(Source {
            schema: row.get(1),
            name: row.get(2),
            condition: row
                .get::<_, Option<String>>(3)
                .filter(|condition| !condition.is_empty()),
            columns: columns
                .iter()
                .map(|row| Column {
                    name: row.get(0),
                    binary: row.get(1),
                    text: row.get(2),
                })
                .collect(),
        });
    }
    Ok(tables)
}

pub(super) fn count_tables(client: &mut Client) -> Result<u64, Fault> {
    let counts = counts(client)?;
    let tables = ["table", "partitioned table"].map(|kind| counts.get(kind).copied().unwrap_or(0));
    Ok(tables.iter().sum())
}

/// Counts what there is of each kind.
pub(super) fn counts(client: &mut Client) -> Result<BTreeMap<String, u64>, Fault> {
    let doing = || "counting what a database holds";
    let own = |of: &str, class: &str| {
        format!(
            "NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{class}'::pg_catalog.regclass \
             AND d.objid = {of}.oid AND d.deptype = 'e') AND {of}.oid >= 16384"
        )
    };
    let sql = format!(
        "SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' \
            WHEN 'm' THEN 'materialised view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' \
            WHEN 'c' THEN 'composite type' ELSE 'index' END, count(*) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE {OWN} AND c.relkind <> 't' AND n.nspname !~ '^pg_toast' GROUP BY 1 \
         UNION ALL SELECT 'trigger', count(*) FROM pg_catalog.pg_trigger c WHERE NOT c.tgisinternal AND {} \
         UNION ALL SELECT 'constraint', count(*) FROM pg_catalog.pg_constraint c WHERE c.contype <> 't' AND {} \
         UNION ALL SELECT 'routine', count(*) FROM pg_catalog.pg_proc c WHERE {} \
         UNION ALL SELECT 'rule', count(*) FROM pg_catalog.pg_rewrite c WHERE {} \
         UNION ALL SELECT 'policy', count(*) FROM pg_catalog.pg_policy c WHERE {} \
         UNION ALL SELECT 'large object', count(*) FROM pg_catalog.pg_largeobject_metadata \
         UNION ALL SELECT 'extension', count(*) FROM pg_catalog.pg_extension",
        own("c", "pg_trigger"),
        own("c", "pg_constraint"),
        own("c", "pg_proc"),
        own("c", "pg_rewrite"),
        own("c", "pg_policy"),
    );
    let rows = client.query(&sql, &[]).or_fault(doing)?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap_or(0)))
        .collect())
}
