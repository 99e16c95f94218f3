import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.cql.*;
import com.datastax.oss.driver.api.core.data.CqlDuration;
import com.datastax.oss.driver.api.core.metadata.schema.TableMetadata;
import com.datastax.oss.driver.api.core.servererrors.InvalidQueryException;
import com.datastax.oss.driver.api.core.servererrors.SyntaxError;
import com.datastax.oss.driver.api.core.uuid.Uuids;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.time.*;
import java.util.*;
import java.util.concurrent.CompletionStage;

/** Java's driver (java-driver-core 4) against Ringlet: connect, DDL, prepared statements, paging, batch, types, metadata, events. */
public class DriverTest {
  static final String K = "java_driver_test";
  static CqlSession session;

  interface Test {
    void run() throws Exception;
  }

  static void check(boolean condition, Object what) {
    if (!condition) throw new AssertionError(String.valueOf(what));
  }

  static CqlSession connect() {
    String host = System.getenv().getOrDefault("CASS_HOSTS", "127.0.0.1").split(",")[0];
    return CqlSession.builder().addContactPoint(new InetSocketAddress(host, 9042))
        .withLocalDatacenter(System.getenv().getOrDefault("CASS_DC", "datacenter1"))
        .withConfigLoader(com.datastax.oss.driver.api.core.config.DriverConfigLoader.programmaticBuilder()
            .withDuration(com.datastax.oss.driver.api.core.config.DefaultDriverOption.REQUEST_TIMEOUT, Duration.ofSeconds(180))
            .build()).build();
  }

  static void types() throws Exception {
    Object[][] values = {
      {"ascii", "plain"}, {"bigint", Long.MIN_VALUE}, {"blob", ByteBuffer.wrap(new byte[] {0, 1, -1})}, {"boolean", true},
      {"date", LocalDate.of(2026, 11, 27)}, {"decimal", new BigDecimal("-123.4500")}, {"double", -1.5e300},
      {"duration", CqlDuration.newInstance(1, 2, 3)}, {"float", 0.5f}, {"inet", InetAddress.getByName("::1")}, {"int", Integer.MIN_VALUE},
      {"smallint", Short.MIN_VALUE}, {"text", "Zürich"}, {"time", LocalTime.of(12, 34, 56, 789)},
      {"timestamp", Instant.parse("2026-11-27T01:02:03.456Z")}, {"timeuuid", Uuids.timeBased()}, {"tinyint", Byte.MIN_VALUE},
      {"uuid", UUID.randomUUID()}, {"varint", BigInteger.ONE.shiftLeft(100).negate()}, {"list<int>", List.of(3, 1, 2)},
      {"set<text>", Set.of("a", "b")}, {"map<text, int>", Map.of("a", 1)}, {"frozen<list<frozen<list<int>>>>", List.of(List.of(1), List.of(2, 3))},
    };
    for (int i = 0; i < values.length; i++) {
      session.execute(String.format("CREATE TABLE %s.types_%d (k int PRIMARY KEY, v %s)", K, i, values[i][0]));
      PreparedStatement insert = session.prepare(String.format("INSERT INTO %s.types_%d (k, v) VALUES (?, ?)", K, i));
      session.execute(insert.bind(1, values[i][1]));
      Object got = session.execute(String.format("SELECT v FROM %s.types_%d WHERE k = 1", K, i)).one().getObject(0);
      check(values[i][1].equals(got), values[i][0] + ": " + values[i][1] + " came back as " + got);
    }
  }

  static void batchAndPaging() {
    session.execute("CREATE TABLE " + K + ".rows (p int, c int, v text, PRIMARY KEY (p, c))");
    PreparedStatement insert = session.prepare("INSERT INTO " + K + ".rows (p, c, v) VALUES (?, ?, ?)");
    for (int n = 0; n < 20; n++) {
      BatchStatementBuilder batch = BatchStatement.builder(n % 2 == 0 ? BatchType.LOGGED : BatchType.UNLOGGED);
      for (int i = 0; i < 50; i++) batch.addStatement(insert.bind(1, n * 50 + i, "x"));
      session.execute(batch.build());
    }
    List<CompletionStage<AsyncResultSet>> all = new ArrayList<>();
    for (int i = 0; i < 500; i++) all.add(session.executeAsync(insert.bind(2, i, "y")));
    all.forEach(s -> s.toCompletableFuture().join());
    int seen = 0;
    for (Row row : session.execute(SimpleStatement.newInstance("SELECT c FROM " + K + ".rows WHERE p = 1").setPageSize(77)))
      check(row.getInt(0) == seen++, "order");
    check(seen == 1000, seen);
    check(session.execute("SELECT count(*) FROM " + K + ".rows").one().getLong(0) == 1500, "count");
  }

  static void conditionsAndErrors() {
    session.execute("CREATE TABLE " + K + ".once (k int PRIMARY KEY, v int)");
    check(session.execute("INSERT INTO " + K + ".once (k, v) VALUES (1, 1) IF NOT EXISTS").wasApplied(), "first");
    check(!session.execute("INSERT INTO " + K + ".once (k, v) VALUES (1, 1) IF NOT EXISTS").wasApplied(), "second");
    try {
      session.execute("SELEC");
      check(false, "SELEC");
    } catch (SyntaxError e) {
      // so it must be
    }
    try {
      session.execute("SELECT * FROM " + K + ".none");
      check(false, "none");
    } catch (InvalidQueryException e) {
      // so it must be
    }
  }

  static void metadataAndEvents() throws Exception {
    try (CqlSession other = connect()) {
      other.execute("CREATE TABLE " + K + ".told (k int PRIMARY KEY, m map<text, frozen<list<int>>>)");
    }
    Optional<TableMetadata> table = Optional.empty();
    for (int i = 0; i < 1800 && table.isEmpty(); i++) {
      table = session.getMetadata().getKeyspace(K).flatMap(k -> k.getTable("told"));
      Thread.sleep(100);
    }
    check(table.isPresent() && table.get().getPartitionKey().size() == 1, "metadata of told");
    check(session.checkSchemaAgreement(), "agreement");
    check(session.getMetadata().getTokenMap().isPresent(), "token map");
    ExecutionInfo info = session.execute(SimpleStatement.newInstance("SELECT * FROM " + K + ".rows WHERE p = 1").setTracing(true)).getExecutionInfo();
    check(!info.getQueryTrace().getEvents().isEmpty(), "trace");
  }

  public static void main(String[] args) {
    session = connect();
    session.execute("DROP KEYSPACE IF EXISTS " + K);
    session.execute("CREATE KEYSPACE " + K + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    Map<String, Test> tests = new LinkedHashMap<>();
    tests.put("types", DriverTest::types);
    tests.put("batch and paging", DriverTest::batchAndPaging);
    tests.put("conditions and errors", DriverTest::conditionsAndErrors);
    tests.put("metadata and events", DriverTest::metadataAndEvents);
    int failures = 0;
    for (Map.Entry<String, Test> test : tests.entrySet()) {
      long start = System.currentTimeMillis();
      String outcome = "passed";
      try {
        test.getValue().run();
      } catch (Throwable e) {
        failures++;
        outcome = "FAILED: " + e;
      }
      System.out.printf("java %s: %s (%.1f s)%n", test.getKey(), outcome, (System.currentTimeMillis() - start) / 1000.0);
    }
    session.close();
    System.exit(failures == 0 ? 0 : 1);
  }
}
