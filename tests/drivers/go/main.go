// Go's driver (gocql) against Ringlet: connect, DDL, prepared statements (gocql prepares all), paging, batch, types, events.
//
//	go run .        a node listens for CQL on 127.0.0.1:9042
package main

import (
	"context"
	"fmt"
	"math/big"
	"net"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/gocql/gocql"
	"gopkg.in/inf.v0"
)

const keyspace = "go_driver_test"

var session *gocql.Session

func connect(ks string) (*gocql.Session, error) {
	hosts := os.Getenv("CASS_HOSTS")
	if hosts == "" {
		hosts = "127.0.0.1"
	}
	cluster := gocql.NewCluster(strings.Split(hosts, ",")...)
	cluster.Timeout, cluster.ConnectTimeout = 180*time.Second, 180*time.Second
	cluster.Consistency = gocql.LocalQuorum
	cluster.Keyspace = ks
	cluster.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	return cluster.CreateSession()
}

func exec(query string, args ...interface{}) error { return session.Query(query, args...).Exec() }

func testTypes() error {
	u := gocql.TimeUUID()
	values := []struct {
		cql   string
		value interface{}
	}{
		{"ascii", "plain"}, {"bigint", int64(-1 << 62)}, {"blob", []byte{0, 255}}, {"boolean", true},
		{"decimal", inf.NewDec(-1234500, 4)}, {"double", -1.5e300}, {"float", float32(0.5)}, {"inet", net.ParseIP("::1")},
		{"int", -1 << 31}, {"smallint", int16(-32768)}, {"text", "Zürich"}, {"time", 12 * time.Hour},
		{"timestamp", time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)}, {"timeuuid", u}, {"tinyint", int8(-128)}, {"uuid", u},
		{"varint", new(big.Int).Lsh(big.NewInt(-1), 100)}, {"list<int>", []int{3, 1, 2}}, {"set<text>", []string{"a", "b"}},
		{"map<text, int>", map[string]int{"a": 1}}, {"frozen<list<frozen<list<int>>>>", [][]int{{1, 2}, {3}}},
		{"duration", gocql.Duration{Months: 1, Days: 2, Nanoseconds: 3}},
	}
	for i, v := range values {
		if err := exec(fmt.Sprintf("CREATE TABLE types_%d (k int PRIMARY KEY, v %s)", i, v.cql)); err != nil {
			return fmt.Errorf("%s: %w", v.cql, err)
		}
		if err := exec(fmt.Sprintf("INSERT INTO types_%d (k, v) VALUES (?, ?)", i), 1, v.value); err != nil {
			return fmt.Errorf("%s: %w", v.cql, err)
		}
		got := reflect.New(reflect.TypeOf(v.value))
		if err := session.Query(fmt.Sprintf("SELECT v FROM types_%d WHERE k = ?", i), 1).Scan(got.Interface()); err != nil {
			return fmt.Errorf("%s: %w", v.cql, err)
		}
		if a, b := fmt.Sprint(got.Elem().Interface()), fmt.Sprint(v.value); a != b {
			return fmt.Errorf("%s: %s came back as %s", v.cql, b, a)
		}
	}
	return nil
}

func testBatchAndPaging() error {
	if err := exec("CREATE TABLE rows (p int, c int, v text, PRIMARY KEY (p, c))"); err != nil {
		return err
	}
	for n := 0; n < 20; n++ {
		kind := gocql.LoggedBatch
		if n%2 == 1 {
			kind = gocql.UnloggedBatch
		}
		batch := session.NewBatch(kind)
		for i := 0; i < 50; i++ {
			batch.Query("INSERT INTO rows (p, c, v) VALUES (?, ?, ?)", 1, n*50+i, "x")
		}
		if err := session.ExecuteBatch(batch); err != nil {
			return err
		}
	}
	iter, c, seen := session.Query("SELECT c FROM rows WHERE p = 1").PageSize(77).Iter(), 0, 0
	for iter.Scan(&c) {
		if c != seen {
			return fmt.Errorf("row %d where %d was due", c, seen)
		}
		seen++
	}
	if err := iter.Close(); err != nil || seen != 1000 {
		return fmt.Errorf("%d rows of 1000: %v", seen, err)
	}
	return nil
}

func testConditions() error {
	if err := exec("CREATE TABLE once (k int PRIMARY KEY, v int)"); err != nil {
		return err
	}
	for i, expected := range []bool{true, false} {
		row := map[string]interface{}{}
		applied, err := session.Query("INSERT INTO once (k, v) VALUES (1, 1) IF NOT EXISTS").MapScanCAS(row)
		if err != nil || applied != expected {
			return fmt.Errorf("time %d: applied %v, %v", i, applied, err)
		}
	}
	return nil
}

func testMetadata() error {
	var table *gocql.TableMetadata
	for until := time.Now().Add(180 * time.Second); table == nil && time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		meta, err := session.KeyspaceMetadata(keyspace) // kept by the driver until an event tells it of a change
		if err != nil {
			return err
		}
		table = meta.Tables["rows"]
	}
	if table == nil || len(table.PartitionKey) != 1 || len(table.ClusteringColumns) != 1 {
		return fmt.Errorf("metadata of rows: %+v", table)
	}
	return session.AwaitSchemaAgreement(context.Background())
}

func run() int {
	first, err := connect("")
	if err != nil {
		fmt.Println("go connect: FAILED:", err)
		return 1
	}
	session = first
	for _, q := range []string{"DROP KEYSPACE IF EXISTS " + keyspace,
		"CREATE KEYSPACE " + keyspace + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"} {
		if err := exec(q); err != nil {
			fmt.Println("go connect: FAILED:", err)
			return 1
		}
	}
	first.Close()
	if session, err = connect(keyspace); err != nil {
		fmt.Println("go connect: FAILED:", err)
		return 1
	}
	defer session.Close()
	failures := 0
	for _, t := range []struct {
		name string
		run  func() error
	}{{"types", testTypes}, {"batch and paging", testBatchAndPaging}, {"conditions", testConditions}, {"metadata", testMetadata}} {
		start := time.Now()
		if err := t.run(); err != nil {
			failures = 1
			fmt.Printf("go %s: FAILED: %v (%.1f s)\n", t.name, err, time.Since(start).Seconds())
		} else {
			fmt.Printf("go %s: passed (%.1f s)\n", t.name, time.Since(start).Seconds())
		}
	}
	return failures
}

func main() { os.Exit(run()) }
