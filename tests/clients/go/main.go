// clickhouse-go v2 over the native protocol and HTTP: queries, batches of every kind of type, parameters,
// external tables, errors, and database/sql. Takes the HTTP and the native port.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

func must(what string, err error) {
	if err != nil {
		panic(fmt.Sprintf("%s: %v", what, err))
	}
}

func check(what string, found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("%s: %#v instead of %#v", what, found, expected))
	}
}

const columns = `id UInt64, s String, n Nullable(Int32), a Array(String), d Date, t DateTime64(3, 'UTC'), dec Decimal(18, 4),
	u UUID, lc LowCardinality(String), m Map(String, UInt8), f Float64, b Bool, fs FixedString(3)`

type row struct {
	Id  uint64           `ch:"id"`
	S   string           `ch:"s"`
	N   *int32           `ch:"n"`
	A   []string         `ch:"a"`
	D   time.Time        `ch:"d"`
	T   time.Time        `ch:"t"`
	Dec decimal.Decimal  `ch:"dec"`
	U   uuid.UUID        `ch:"u"`
	Lc  string           `ch:"lc"`
	M   map[string]uint8 `ch:"m"`
	F   float64          `ch:"f"`
	B   bool             `ch:"b"`
	Fs  string           `ch:"fs"`
}

func run(protocol clickhouse.Protocol, port string, method clickhouse.CompressionMethod) {
	ctx := context.Background()
	options := &clickhouse.Options{Protocol: protocol, Addr: []string{"127.0.0.1:" + port},
		Compression: &clickhouse.Compression{Method: method}, Settings: clickhouse.Settings{"max_threads": 2}}
	conn, err := clickhouse.Open(options)
	must("open", err)
	must("ping", conn.Ping(ctx))
	must("drop", conn.Exec(ctx, "DROP TABLE IF EXISTS go_rows"))
	must("create", conn.Exec(ctx, "CREATE TABLE go_rows ("+columns+") ENGINE = MergeTree ORDER BY id"))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO go_rows")
	must("batch", err)
	var rows []row
	for i := range 1000 {
		var n *int32
		if i%2 == 0 {
			v := int32(-i)
			n = &v
		}
		rows = append(rows, row{uint64(i), fmt.Sprintf("héllo%d", i), n, []string{"a", "b"}[:i%3%2+1], time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC),
			time.Date(2024, 1, 2, 3, 4, 5, 678000000, time.UTC), decimal.RequireFromString("-1.2345"), uuid.UUID{15: byte(i)}, "lc",
			map[string]uint8{"k": uint8(i)}, 1.5, i%2 == 0, "abc"})
		must("append", batch.AppendStruct(&rows[i]))
	}
	must("send", batch.Send())
	var found []row
	must("select", conn.Select(ctx, &found, "SELECT * FROM go_rows ORDER BY id"))
	check("rows", len(found), len(rows))
	for i := range rows {
		check("decimal", found[i].Dec.Equal(rows[i].Dec), true)
		found[i].Dec = rows[i].Dec
		check("row", found[i], rows[i])
	}
	var count uint64
	must("parameter", conn.QueryRow(clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"x": "990"})),
		"SELECT count() FROM go_rows WHERE id >= {x:UInt64}").Scan(&count))
	check("parameter", count, uint64(10))
	stream, err := conn.Query(ctx, "SELECT number FROM numbers(200000)")
	must("stream", err)
	var sum, number uint64
	for stream.Next() {
		must("scan", stream.Scan(&number))
		sum += number
	}
	must("stream", stream.Err())
	check("stream", sum, uint64(200000*199999/2))
	if protocol == clickhouse.Native {
		table, err := ext.NewTable("outside", ext.Column("x", "UInt64"), ext.Column("s", "String"))
		must("external", err)
		must("external", table.Append(uint64(5), "five"))
		must("external", table.Append(uint64(6), "six"))
		var text string
		must("external", conn.QueryRow(clickhouse.Context(ctx, clickhouse.WithExternalTable(table)),
			"SELECT sum(x), max(s) FROM outside").Scan(&sum, &text))
		check("external", fmt.Sprint(sum, text), "11six")
	}
	err = conn.Exec(ctx, "SELECT nonsense")
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		check("code", exception.Code, int32(47))
	} else if err == nil || protocol == clickhouse.Native {
		panic(fmt.Sprintf("an unknown column is an error with a code: %v", err))
	}
	must("close", conn.Close())
	db := clickhouse.OpenDB(options)
	must("sql", db.QueryRow("SELECT count() FROM go_rows WHERE id < ?", 10).Scan(&count))
	check("sql", count, uint64(10))
	must("sql", db.Close())
	fmt.Printf("clickhouse-go, %v, compression %v: ok\n", protocol, method)
}

func main() {
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionZSTD} {
		run(clickhouse.Native, os.Args[2], method)
		run(clickhouse.HTTP, os.Args[1], method)
	}
}
