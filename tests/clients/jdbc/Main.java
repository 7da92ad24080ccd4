import java.sql.*;
import java.time.*;
import java.math.*;
import java.util.*;

/** Drives the JDBC driver against a server: `java Main PORT`. Ends with 1 where an answer is wrong. */
public class Main {
    static int checks = 0;

    static void check(String what, Object got, Object wanted) {
        checks++;
        if (!Objects.equals(String.valueOf(got), String.valueOf(wanted)))
            throw new AssertionError(what + ": " + got + " instead of " + wanted);
    }

    static String one(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
            r.next();
            return r.getString(1);
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (String options : new String[] {"", "?compress=false", "?decompress=true"}) {
            Properties p = new Properties();
            p.setProperty("user", "default");
            p.setProperty("password", "");
            try (Connection c = DriverManager.getConnection("jdbc:clickhouse://127.0.0.1:" + arguments[0] + "/default" + options, p)) {
                run(c);
            }
        }
        System.out.println(checks + " checks");
    }

    static void run(Connection c) throws Exception {
        check("valid", c.isValid(5), true);
        check("one", one(c, "SELECT 1"), "1");
        try (Statement s = c.createStatement()) {
            s.execute("DROP TABLE IF EXISTS j");
            s.execute("CREATE TABLE j (id UInt64, i8 Int8, i32 Int32, u64 UInt64, i128 Int128, f Float64, d Decimal(18, 4), s String, fs FixedString(4),"
                + " n Nullable(Int32), lc LowCardinality(String), b Bool, day Date, at DateTime('UTC'), at3 DateTime64(3, 'UTC'), u UUID, ip IPv4,"
                + " e Enum8('x' = 1, 'y' = 2), a Array(Int32), m Map(String, UInt8), t Tuple(Int32, String)) ENGINE = MergeTree ORDER BY id");
        }
        UUID uuid = UUID.fromString("61f0c404-5cb3-11e7-907b-a6006ad3dba0");
        String insert = "INSERT INTO j (id, i8, i32, u64, f, d, s, n, lc, b, day, at, at3, u, e) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        try (PreparedStatement s = c.prepareStatement(insert)) {
            for (int i = 0; i < 500; i++) {
                s.setLong(1, i);
                s.setByte(2, (byte) (i % 100));
                s.setInt(3, -i);
                s.setLong(4, 1L << (i % 60));
                s.setDouble(5, i / 4.0);
                s.setBigDecimal(6, new BigDecimal("12.3456").add(BigDecimal.valueOf(i)));
                s.setString(7, "it's \\ " + i + " \u00e4\n");
                if (i % 2 == 0) s.setInt(8, i); else s.setNull(8, Types.INTEGER);
                s.setString(9, "k" + i % 3);
                s.setBoolean(10, i % 2 == 1);
                s.setDate(11, java.sql.Date.valueOf("2026-01-0" + (1 + i % 9)));
                s.setObject(12, LocalDateTime.of(2026, 1, 2, 3, 4, 5));
                s.setObject(13, LocalDateTime.of(2026, 1, 2, 3, 4, 5, 678_000_000));
                s.setObject(14, uuid);
                s.setString(15, i % 2 == 0 ? "x" : "y");
                s.addBatch();
            }
            check("batch", s.executeBatch().length, 500);
        }
        check("rows", one(c, "SELECT count() FROM j"), "500");
        check("sum", one(c, "SELECT sum(id) FROM j"), String.valueOf(499 * 500 / 2));
        try (PreparedStatement s = c.prepareStatement("SELECT id, i8, i32, u64, f, d, s, n, lc, b, day, at, at3, u, e FROM j WHERE id = ? AND s LIKE ?")) {
            s.setLong(1, 7);
            s.setString(2, "it's%");
            try (ResultSet r = s.executeQuery()) {
                check("a row", r.next(), true);
                check("id", r.getLong("id"), 7L);
                check("i8", r.getByte("i8"), 7);
                check("i32", r.getInt("i32"), -7);
                check("u64", r.getLong("u64"), 128L);
                check("f", r.getDouble("f"), 1.75);
                check("d", r.getBigDecimal("d"), "19.3456");
                check("s", r.getString("s"), "it's \\ 7 \u00e4\n");
                r.getInt("n");
                check("null", r.wasNull(), true);
                check("lc", r.getString("lc"), "k1");
                check("b", r.getBoolean("b"), true);
                check("day", r.getObject("day", LocalDate.class), "2026-01-08");
                check("at", r.getObject("at", LocalDateTime.class), "2026-01-02T03:04:05");
                check("at3", r.getObject("at3", LocalDateTime.class), "2026-01-02T03:04:05.678");
                check("uuid", r.getObject("u"), uuid);
                check("enum", r.getString("e"), "y");
                check("one row", r.next(), false);
            }
        }
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(
                "SELECT [1, 2, 3] AS a, map('k', toUInt8(1)) AS m, (1, 'x') AS t, toIPv4('1.2.3.4') AS ip, toInt128('170141183460469231731687303715884105727') AS big,"
                + " [['a'], []] AS aa, NULL AS nothing, toFixedString('ab', 4) AS fs, cast(NULL, 'Nullable(DateTime)') AS nd")) {
            r.next();
            check("array", Arrays.toString((Object[]) r.getArray("a").getArray()), "[1, 2, 3]");
            check("map", r.getObject("m"), "{k=1}");
            check("ip", r.getString("ip").replace("/", ""), "1.2.3.4");
            check("big", r.getObject("big"), "170141183460469231731687303715884105727");
            check("nothing", r.getObject("nothing"), null);
            check("no time", r.getTimestamp("nd"), null);
            ResultSetMetaData m = r.getMetaData();
            check("columns", m.getColumnCount(), 9);
            check("name", m.getColumnName(1), "a");
            check("type", m.getColumnTypeName(5), "Int128");
        }
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT number, toString(number) FROM numbers(200000)")) {
            long sum = 0;
            while (r.next()) sum += r.getLong(1) + r.getString(2).length();
            check("stream", sum, 199999L * 200000 / 2 + 1088890);
        }
        DatabaseMetaData meta = c.getMetaData();
        check("product", meta.getDatabaseProductName(), "ClickHouse");
        try (ResultSet r = meta.getTables(null, "default", "j", new String[] {"TABLE", "REMOTE TABLE", "BASE TABLE"})) {
            check("table", r.next(), true);
            check("table name", r.getString("TABLE_NAME"), "j");
        }
        try (ResultSet r = meta.getColumns(null, "default", "j", "%")) {
            int n = 0;
            while (r.next()) n++;
            check("columns of j", n, 21);
        }
        try (ResultSet r = meta.getSchemas()) {
            Set<String> names = new HashSet<>();
            while (r.next()) names.add(r.getString(1));
            check("schemas", names.contains("default") && names.contains("system"), true);
        }
        try (ResultSet r = meta.getTypeInfo()) {
            check("types", r.next(), true);
        }
        try (ResultSet r = meta.getFunctions(null, null, "%")) {
            check("functions", r.next(), true);
        }
        try (Statement s = c.createStatement()) {
            s.executeQuery("SELECT nonsense");
            throw new AssertionError("an unknown column is an error");
        } catch (SQLException e) {
            check("message", e.getMessage().contains("nonsense"), true);
            Throwable cause = e;
            while (cause != null && !(cause instanceof com.clickhouse.client.api.ServerException)) cause = cause.getCause();
            check("code", ((com.clickhouse.client.api.ServerException) cause).getCode(), 47);
        }
        try (Statement s = c.createStatement()) {
            s.setMaxRows(10);
            try (ResultSet r = s.executeQuery("SELECT number FROM numbers(100)")) {
                int n = 0;
                while (r.next()) n++;
                check("max rows", n, 10);
            }
        }
        try (Statement s = c.createStatement()) {
            check("update count", s.executeUpdate("INSERT INTO j (id, s) VALUES (900001, 'a'), (900002, 'b')"), 2);
        }
        check("usable after errors", one(c, "SELECT 2"), "2");
    }
}
