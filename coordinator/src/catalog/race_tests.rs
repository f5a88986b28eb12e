//! Many coordinators change one catalog at the same time.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::memory::MemoryStore;
use super::*;
use crate::error::ErrorKind;

/// Coordinators, and rounds of each race.
const COORDINATORS: usize = 8;
const ROUNDS: usize = 50;

fn catalogs() -> Vec<Arc<Catalog>> {
    let store = Arc::new(MemoryStore::default());
    (0..COORDINATORS)
        .map(|_| {
            Arc::new(Catalog::new(
                Arc::clone(&store) as Arc<dyn CatalogStore>,
                Duration::ZERO,
            ))
        })
        .collect()
}

fn view(sql: &str) -> CatalogObject {
    CatalogObject::View(View {
        sql: sql.to_owned(),
        default_schema: DEFAULT_SCHEMA.to_owned(),
    })
}

async fn names(catalog: &Catalog) -> Vec<String> {
    let snapshot = catalog.fresh_snapshot().await.unwrap();
    snapshot.objects(DEFAULT_SCHEMA).map(str::to_owned).collect()
}

async fn create(catalog: &Catalog, name: &str) -> Result<()> {
    catalog
        .create_object(DEFAULT_SCHEMA, name, &view(name), IfExists::Fail, "me")
        .await
}

/// Lets every coordinator do something at once; how it ended, by kind.
async fn race<F>(catalogs: &[Arc<Catalog>], act: impl Fn(usize, Arc<Catalog>) -> F) -> BTreeMap<String, usize>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let acts = catalogs.iter().enumerate();
    let tasks: Vec<_> = acts
        .map(|(index, catalog)| tokio::spawn(act(index, Arc::clone(catalog))))
        .collect();
    let mut ends = BTreeMap::new();
    for task in tasks {
        let end = match task.await.unwrap() {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        *ends.entry(end).or_default() += 1;
    }
    ends
}

fn one_won(others: ErrorKind) -> BTreeMap<String, usize> {
    [("done".to_owned(), 1), (format!("{others:?}"), COORDINATORS - 1)].into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creators_one_wins() {
    let catalogs = catalogs();
    for round in 0..ROUNDS {
        let ends = race(&catalogs, |_, catalog| async move {
            create(&catalog, &format!("t{round}")).await
        })
        .await;
        assert_eq!(ends, one_won(ErrorKind::AlreadyExists));
    }
    assert_eq!(names(&catalogs[0]).await.len(), ROUNDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_renamers_and_droppers_of_one_name_one_wins() {
    let catalogs = catalogs();
    for _ in 0..ROUNDS {
        create(&catalogs[0], "t").await.unwrap();
        let ends = race(&catalogs, |index, catalog| async move {
            if index % 2 == 0 {
                let to = format!("to{index}");
                let to = (DEFAULT_SCHEMA, to.as_str());
                catalog.rename_object((DEFAULT_SCHEMA, "t"), to, ObjectKind::View).await
            } else {
                catalog.drop_object(DEFAULT_SCHEMA, "t", ObjectKind::View, false).await
            }
        })
        .await;
        assert_eq!(ends, one_won(ErrorKind::NotFound));
        for left in names(&catalogs[0]).await {
            catalogs[0]
                .drop_object(DEFAULT_SCHEMA, &left, ObjectKind::View, false)
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_take_one_name_one_wins_and_no_object_is_lost() {
    let catalogs = catalogs();
    for index in 0..COORDINATORS {
        create(&catalogs[0], &format!("from{index}")).await.unwrap();
    }
    let ends = race(&catalogs, |index, catalog| async move {
        let from = format!("from{index}");
        catalog
            .rename_object((DEFAULT_SCHEMA, &from), (DEFAULT_SCHEMA, "t"), ObjectKind::View)
            .await
    })
    .await;
    assert_eq!(ends, one_won(ErrorKind::AlreadyExists));
    assert_eq!(names(&catalogs[0]).await.len(), COORDINATORS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_object_is_not_brought_back_by_a_change() {
    let catalogs = catalogs();
    for _ in 0..ROUNDS {
        create(&catalogs[0], "t").await.unwrap();
        race(&catalogs, |index, catalog| async move {
            if index == 0 {
                return catalog.drop_object(DEFAULT_SCHEMA, "t", ObjectKind::View, false).await;
            }
            let change = |_| Ok(view("changed"));
            catalog
                .alter_object(DEFAULT_SCHEMA, "t", ObjectKind::View, "me", change)
                .await
        })
        .await;
        assert!(names(&catalogs[0]).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_of_many_is_lost() {
    let catalogs = catalogs();
    create(&catalogs[0], "t").await.unwrap();
    let ends = race(&catalogs, |_, catalog| async move {
        for _ in 0..ROUNDS {
            let longer = |object| match object {
                CatalogObject::View(view) => Ok(self::view(&format!("{}+", view.sql))),
                other => Ok(other),
            };
            catalog
                .alter_object(DEFAULT_SCHEMA, "t", ObjectKind::View, "me", longer)
                .await?;
        }
        Ok(())
    })
    .await;
    assert_eq!(ends, [("done".to_owned(), COORDINATORS)].into());
    let snapshot = catalogs[0].fresh_snapshot().await.unwrap();
    let object = catalogs[0]
        .object(&snapshot, DEFAULT_SCHEMA, "t")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(*object, view(&format!("t{}", "+".repeat(COORDINATORS * ROUNDS))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_schema_dropped_while_tables_are_made_in_it_leaves_none_behind() {
    let catalogs = catalogs();
    for _ in 0..ROUNDS {
        catalogs[0].create_schema("s", false, "me").await.unwrap();
        race(&catalogs, |index, catalog| async move {
            if index == 0 {
                return catalog.drop_schema("s", false, true).await;
            }
            catalog
                .create_object("s", &format!("t{index}"), &view("v"), IfExists::Fail, "me")
                .await
        })
        .await;
        let snapshot = catalogs[0].fresh_snapshot().await.unwrap();
        assert!(!snapshot.has_schema("s"));
    }
}
