//! `GetXdbcTypeInfo`: the types of columns, as ODBC and JDBC number them.

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType as Type, XdbcDatetimeSubcode as Subcode};

use crate::error::{Error, Result};

/// The list, in the order of the types' numbers.
///
/// # Errors
/// None that is expected.
pub(super) fn build() -> Result<XdbcTypeInfoData> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    let types = [
        with_name(plain("BOOLEAN", Type::XdbcBit, 1)),
        integer("TINYINT", Type::XdbcTinyint, 3),
        integer("BIGINT", Type::XdbcBigint, 19),
        plain("VARBINARY", Type::XdbcVarbinary, i32::MAX),
        decimal(),
        integer("INTEGER", Type::XdbcInteger, 10),
        integer("SMALLINT", Type::XdbcSmallint, 5),
        floating("REAL", Type::XdbcReal, 24),
        floating("DOUBLE", Type::XdbcDouble, 53),
        text(),
        // DATE shares its number with YEAR, under which name the generated code has it.
        time("DATE", Type::XdbcDate, 10, Subcode::XdbcSubcodeYear),
        time("TIME", Type::XdbcTime, 18, Subcode::XdbcSubcodeTime),
        time("TIMESTAMP", Type::XdbcTimestamp, 29, Subcode::XdbcSubcodeTimestamp),
    ];
    types.into_iter().for_each(|info| builder.append(info));
    builder
        .build()
        .map_err(|error| Error::Internal(format!("XdbcTypeInfo: {error}")))
}

fn plain(name: &str, data_type: Type, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: Some(size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        fixed_prec_scale: false,
        sql_data_type: data_type,
        ..XdbcTypeInfo::default()
    }
}

fn with_name(info: XdbcTypeInfo) -> XdbcTypeInfo {
    XdbcTypeInfo {
        local_type_name: Some(info.type_name.clone()),
        ..info
    }
}

fn integer(name: &str, data_type: Type, digits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        num_prec_radix: Some(10),
        ..with_name(plain(name, data_type, digits))
    }
}

fn decimal() -> XdbcTypeInfo {
    XdbcTypeInfo {
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        maximum_scale: Some(38),
        ..integer("DECIMAL", Type::XdbcDecimal, 38)
    }
}

fn floating(name: &str, data_type: Type, bits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(2),
        ..with_name(plain(name, data_type, bits))
    }
}

fn quoted(info: XdbcTypeInfo) -> XdbcTypeInfo {
    let quote = Some("'".to_owned());
    XdbcTypeInfo {
        literal_prefix: quote.clone(),
        literal_suffix: quote,
        ..with_name(info)
    }
}

fn text() -> XdbcTypeInfo {
    XdbcTypeInfo {
        create_params: Some(vec!["length".to_owned()]),
        case_sensitive: true,
        ..quoted(plain("VARCHAR", Type::XdbcVarchar, i32::MAX))
    }
}

fn time(name: &str, data_type: Type, size: i32, subcode: Subcode) -> XdbcTypeInfo {
    XdbcTypeInfo {
        sql_data_type: Type::XdbcDatetime,
        datetime_subcode: Some(subcode),
        ..quoted(plain(name, data_type, size))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn types_are_in_order_and_can_be_filtered() {
        let all = build().unwrap().record_batch(None).unwrap();
        let numbers = all.column(1).as_primitive::<Int32Type>().values().to_vec();
        assert_eq!(numbers, [-7, -6, -5, -3, 3, 4, 5, 7, 8, 12, 91, 92, 93]);
        let one = build().unwrap().record_batch(12).unwrap();
        assert_eq!(one.column(0).as_string::<i32>().value(0), "VARCHAR");
        assert_eq!(build().unwrap().record_batch(1_000).unwrap().num_rows(), 0);
    }
}
