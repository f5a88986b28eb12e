//! Prepared statements and their parameters.

use arrow_flight::Action;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, Any, ProstMessageExt};
use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::DataType;
use prost::Message;
use tonic::Code;

use super::*;

fn values(columns: Vec<ArrayRef>) -> RecordBatch {
    let names = (0..columns.len()).map(|index| index.to_string());
    RecordBatch::try_from_iter_with_nullable(names.zip(columns).map(|(name, column)| (name, column, true))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_query_runs_again_and_again() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let mut prepared = client
        .prepare("select count(*) as n from lines".into(), None)
        .await
        .unwrap();
    assert_eq!(prepared.dataset_schema().unwrap().field(0).name(), "n");
    for _ in 0..2 {
        let info = prepared.execute().await.unwrap();
        assert_eq!(text_rows(&fetch(&mut client, info).await.unwrap().1), [["40000"]]);
    }
    prepared.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_typed_bound_by_position_and_may_be_null() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    let sql = "select c_key, c_name from customers where c_key = ? or c_name = ? order by 1";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    let types: Vec<DataType> = prepared
        .parameter_schema()
        .unwrap()
        .fields()
        .iter()
        .map(|f| f.data_type().clone())
        .collect();
    assert_eq!(types, [DataType::Int64, DataType::Utf8]);
    assert!(
        prepared
            .parameter_schema()
            .unwrap()
            .fields()
            .iter()
            .all(|field| field.is_nullable())
    );
    let names: ArrayRef = Arc::new(StringArray::from(vec!["Customer#000000003"]));
    prepared
        .set_parameters(values(vec![Arc::new(Int32Array::from(vec![7])), names]))
        .unwrap();
    let info = prepared.execute().await.unwrap();
    let found = text_rows(&fetch(&mut client, info).await.unwrap().1);
    assert_eq!(found, [["3", "Customer#000000003"], ["7", "Customer#000000007"]]);
    let nulls = values(vec![
        Arc::new(Int64Array::from(vec![None])),
        Arc::new(StringArray::from(vec![None::<&str>])),
    ]);
    prepared.set_parameters(nulls).unwrap();
    let info = prepared.execute().await.unwrap();
    assert!(text_rows(&fetch(&mut client, info).await.unwrap().1).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rows_of_parameters_append_their_results() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut prepared = client.prepare("select $1 * 10".into(), None).await.unwrap();
    prepared
        .set_parameters(values(vec![Arc::new(Int64Array::from(vec![3, 1, 2]))]))
        .unwrap();
    let info = prepared.execute().await.unwrap();
    assert_eq!(
        text_rows(&fetch(&mut client, info).await.unwrap().1),
        [["30"], ["10"], ["20"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn any_row_of_parameters_may_be_null() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (numbers, expected) in [
        ([None, Some(3)], [["NULL", "-1"], ["30", "3"]]),
        ([Some(3), None], [["30", "3"], ["NULL", "-1"]]),
        ([None, None], [["NULL", "-1"], ["NULL", "-1"]]),
    ] {
        let sql = "select cast(? as bigint) * 10 as ten, coalesce(?, -1) as some";
        let mut prepared = client.prepare(sql.into(), None).await.unwrap();
        let column = || Arc::new(Int32Array::from(numbers.to_vec())) as ArrayRef;
        prepared.set_parameters(values(vec![column(), column()])).unwrap();
        let info = prepared.execute().await.unwrap();
        let (schema, batches) = fetch(&mut client, info).await.unwrap();
        assert!(schema.fields().iter().all(|field| field.is_nullable()), "{schema}");
        assert_eq!(text_rows(&batches), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_wrong_parameters_are_told() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut prepared = client.prepare("select 1 where 1 = ?".into(), None).await.unwrap();
    let error = prepared.execute().await.unwrap_err();
    assert!(error.to_string().contains("1 parameters, 0 were bound"), "{error}");
    prepared
        .set_parameters(values(vec![Arc::new(StringArray::from(vec!["many"]))]))
        .unwrap();
    let error = prepared.execute().await.unwrap_err();
    assert!(error.to_string().contains("$1"), "{error}");
}

async fn prepare_raw(client: &mut Client, sql: &str) -> Vec<u8> {
    let request = ActionCreatePreparedStatementRequest {
        query: sql.into(),
        transaction_id: None,
    };
    let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
    let result = client
        .inner_mut()
        .do_action(action)
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    Any::decode(result.body).unwrap().value.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn preparing_tells_updates_from_queries_and_executes_nothing() {
    let server = Server::start().await;
    let mut client = server.client().await;
    // Field 4 is `is_update`; an empty dataset schema says the same to older clients.
    let update = prepare_raw(&mut client, "create schema s").await;
    assert_eq!(update[update.len() - 2..], [0x20, 1]);
    let query = prepare_raw(&mut client, "select 1").await;
    assert_eq!(query[query.len() - 2..], [0x20, 0]);
    assert_eq!(
        rows(&mut client, "show schemas like 's'").await,
        Vec::<Vec<String>>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_runs_once_whether_or_not_its_result_is_fetched() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut prepared = client.prepare("create schema s1".into(), None).await.unwrap();
    assert!(prepared.dataset_schema().unwrap().fields().is_empty());
    let info = prepared.execute().await.unwrap();
    assert_eq!(rows(&mut client, "show schemas like 's1'").await.len(), 1);
    assert_eq!(info.total_records, 0);
    for _ in 0..2 {
        assert!(fetch(&mut client, info.clone()).await.unwrap().1.is_empty());
    }
    let again = prepared.execute().await.unwrap_err();
    assert!(again.to_string().contains("already exists"), "{again}");
    let mut prepared = client.prepare("create schema s2".into(), None).await.unwrap();
    assert_eq!(prepared.execute_update().await.unwrap(), 0);
    assert_eq!(rows(&mut client, "show schemas like 's2'").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_no_update_and_closed_handles_are_unknown() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let error = update(&mut client, "select 1").await.unwrap_err();
    assert_eq!(status(&error).code(), Code::InvalidArgument);
    let prepared = client.prepare("select 1".into(), None).await.unwrap();
    prepared.close().await.unwrap();
    let command = arrow_flight::sql::CommandPreparedStatementQuery {
        prepared_statement_handle: "gone".into(),
    };
    let descriptor = arrow_flight::FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let gone = client.inner_mut().get_flight_info(descriptor).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_preparing_says_is_what_is_streamed() {
    let server = Server::start().await;
    server.load_tables().await;
    let mut client = server.client().await;
    for sql in [
        "select * from lines",
        "select count(*), sum(l_quantity), avg(l_quantity), min(l_comment) from lines",
        "select a.l_order, b.l_order from lines a join lines b on a.l_order = b.l_order where a.l_order < 5",
        "select c_name, o.* from customers left join orders o on c_key = o_customer",
        "select c_segment, count(*) over (partition by c_segment) from customers",
        "select 1 as a union all select null",
        "select case when l_order > 5 then 1.5 else 2 end from lines",
        "select cast(1.5 as decimal(10, 3)) * 2",
        "select [l_order], named_struct('a', l_order), arrow_cast(l_comment, 'Utf8View') from lines",
        "show tables",
        "explain select 1",
        "select 1 where false",
        "select distinct c_segment from customers order by 1",
        "select 1 as a, (select max(l_order) from lines)",
    ] {
        let mut prepared = client.prepare(sql.into(), None).await.unwrap();
        let said = prepared.dataset_schema().unwrap().clone();
        let info = prepared.execute().await.unwrap();
        let (streamed, _) = fetch(&mut client, info).await.unwrap();
        assert_eq!(said, *streamed, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_tell_their_digits_in_the_metadata() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let prepared = client
        .prepare("select cast(1.5 as decimal(10, 3)) as d".into(), None)
        .await
        .unwrap();
    let metadata = prepared.dataset_schema().unwrap().field(0).metadata().clone();
    assert_eq!(metadata["ARROW:FLIGHT:SQL:PRECISION"], "10");
    assert_eq!(metadata["ARROW:FLIGHT:SQL:SCALE"], "3");
}
