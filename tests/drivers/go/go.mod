module ringlet.dev/tests/drivers/go

go 1.19

require github.com/gocql/gocql v1.7.0
