// Drives QLDB's driver for Go. Prints one JSON object: go-client URL LEDGER SCENARIO
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"github.com/amzn/ion-go/ion"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/qldbsession"
	"github.com/aws/smithy-go"
	"github.com/awslabs/amazon-qldb-driver-go/v3/qldbdriver"
)

const accounts, clients, moves = 6, 16, 2

type object = map[string]interface{}

var ctx = context.Background()

func open(ledger string, retries int) *qldbdriver.QLDBDriver {
	keys := credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), "")
	options := qldbsession.Options{Region: "eu-west-2", Credentials: keys}
	options.EndpointResolver = qldbsession.EndpointResolverFromURL(os.Args[1])
	driver, err := qldbdriver.New(ledger, qldbsession.New(options), func(options *qldbdriver.DriverOptions) {
		options.LoggerVerbosity = qldbdriver.LogOff
		options.RetryPolicy.MaxRetryLimit = retries
	})
	check(err)
	return driver
}

// execute runs a statement and returns the rows as binary Ion.
func execute(txn qldbdriver.Transaction, statement string, parameters ...interface{}) ([][]byte, error) {
	result, err := txn.Execute(statement, parameters...)
	if err != nil {
		return nil, err
	}
	rows := [][]byte{}
	for result.Next(txn) {
		rows = append(rows, result.GetCurrentData())
	}
	return rows, result.Err()
}

func run(driver *qldbdriver.QLDBDriver, statement string, parameters ...interface{}) ([][]byte, error) {
	rows, err := driver.Execute(ctx, func(txn qldbdriver.Transaction) (interface{}, error) {
		return execute(txn, statement, parameters...)
	})
	if err != nil {
		return nil, err
	}
	return rows.([][]byte), nil
}

func must(rows [][]byte, err error) [][]byte {
	check(err)
	return rows
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprintf("%T", err)
}

func failure(err error) object {
	var api smithy.APIError
	if !errors.As(err, &api) {
		check(fmt.Errorf("no error of the API: %v", err))
	}
	return object{"code": api.ErrorCode(), "message": api.ErrorMessage()}
}

func tables(driver *qldbdriver.QLDBDriver) object {
	for _, statement := range []string{
		"CREATE TABLE Vehicle", "CREATE INDEX ON Vehicle (vin)", "CREATE TABLE Gone", "DROP TABLE Gone",
	} {
		must(run(driver, statement))
	}
	names, err := driver.GetTableNames(ctx)
	check(err)
	return object{"tables": names}
}

func values(driver *qldbdriver.QLDBDriver) object {
	given, err := os.ReadFile(filepath.Join("tests", "drivers", "values.ion"))
	check(err)
	var inserted struct {
		ID string `ion:"documentId"`
	}
	check(ion.Unmarshal(must(run(driver, "INSERT INTO Vehicle ?", text(given)))[0], &inserted))
	found, err := textOf(must(run(driver, "SELECT * FROM Vehicle WHERE vin = ?", "VALUES"))[0])
	check(err)
	return object{"id": inserted.ID, "found": found}
}

func pages(driver *qldbdriver.QLDBDriver) object {
	type page struct {
		VIN  string `ion:"vin"`
		Page bool   `ion:"page"`
	}
	for start := 0; start < 450; start += 30 {
		documents := []page{}
		for number := start; number < start+30; number++ {
			documents = append(documents, page{fmt.Sprintf("P%d", number), true})
		}
		must(run(driver, "INSERT INTO Vehicle ?", documents))
	}
	distinct := map[string]bool{}
	found := must(run(driver, "SELECT vin FROM Vehicle WHERE page = true"))
	for _, row := range found {
		var one page
		check(ion.Unmarshal(row, &one))
		distinct[one.VIN] = true
	}
	streamed, err := driver.Execute(ctx, func(txn qldbdriver.Transaction) (interface{}, error) {
		result, err := txn.Execute("SELECT * FROM Vehicle WHERE page = ?", true)
		if err != nil {
			return nil, err
		}
		count := 0
		for result.Next(txn) {
			count++
		}
		return count, result.Err()
	})
	check(err)
	return object{"rows": len(found), "distinct": len(distinct), "streamed": streamed}
}

func errorsOf(driver *qldbdriver.QLDBDriver) object {
	must(run(driver, "INSERT INTO Vehicle ?", text("{vin: \"E1\"}")))
	other, runs := open(os.Args[2], 4), 0
	_, conflict := open(os.Args[2], 2).Execute(ctx, func(txn qldbdriver.Transaction) (interface{}, error) {
		runs++
		if _, err := execute(txn, "SELECT * FROM Vehicle WHERE vin = 'E1'"); err != nil {
			return nil, err
		}
		return run(other, "UPDATE Vehicle SET n = ? WHERE vin = 'E1'", runs)
	})
	failed := func(driver *qldbdriver.QLDBDriver, statement string) object {
		_, err := run(driver, statement)
		return failure(err)
	}
	return object{
		"conflict": failure(conflict),
		"runs":     runs,
		"syntax":   failed(driver, "SELECT FROM"),
		"missing":  failed(driver, "SELECT * FROM Nope"),
		"exists":   failed(driver, "CREATE TABLE Vehicle"),
		"ledger":   failed(open("other", 0), "SELECT * FROM Vehicle"),
	}
}

func expiry(driver *qldbdriver.QLDBDriver) object {
	_, expired := driver.Execute(ctx, func(txn qldbdriver.Transaction) (interface{}, error) {
		if _, err := execute(txn, "SELECT * FROM Vehicle"); err != nil {
			return nil, err
		}
		time.Sleep(1500 * time.Millisecond)
		return execute(txn, "SELECT * FROM Vehicle")
	})
	time.Sleep(3 * time.Second) // the session is idle, and ended: the driver begins another
	return object{"expired": failure(expired), "after": len(must(run(driver, "SELECT 1 FROM << 0 >>")))}
}

// capacity is played where the server has room for one transaction: another is refused until the first has ended.
func capacity(driver *qldbdriver.QLDBDriver) object {
	other := open(os.Args[2], 4)
	refused, err := driver.Execute(ctx, func(txn qldbdriver.Transaction) (interface{}, error) {
		if _, err := execute(txn, "SELECT * FROM Vehicle"); err != nil {
			return nil, err
		}
		_, err := run(other, "SELECT * FROM Vehicle")
		return failure(err), nil
	})
	check(err)
	return object{"refused": refused, "after": len(must(run(other, "SELECT 1 FROM << 0 >>")))}
}

type account struct {
	Name    string `ion:"name"`
	Balance int    `ion:"balance"`
}

func openAccounts(driver *qldbdriver.QLDBDriver) object {
	must(run(driver, "CREATE TABLE Account"))
	must(run(driver, "CREATE INDEX ON Account (name)"))
	documents := []account{}
	for number := 0; number < accounts; number++ {
		documents = append(documents, account{fmt.Sprintf("a%d", number), 100})
	}
	must(run(driver, "INSERT INTO Account ?", documents))
	return object{}
}

func move(txn qldbdriver.Transaction, number int) error {
	names, amounts := []int{number % accounts, (number*5 + 1) % accounts}, []int{-1, 1}
	for place, at := range names {
		name := fmt.Sprintf("a%d", at)
		rows, err := execute(txn, "SELECT balance FROM Account WHERE name = ?", name)
		if err != nil {
			return err
		}
		var found account
		if err := ion.Unmarshal(rows[0], &found); err != nil {
			return err
		}
		update := "UPDATE Account SET balance = ? WHERE name = ?"
		if _, err := execute(txn, update, found.Balance+amounts[place], name); err != nil {
			return err
		}
	}
	return nil
}

// money lets 16 clients move at once; each move is tried until it is done, over conflicts and lost servers.
func money(driver *qldbdriver.QLDBDriver) object {
	var lock sync.Mutex
	var waiting sync.WaitGroup
	done, failed := 0, map[string]bool{}
	for client := 0; client < clients; client++ {
		waiting.Add(1)
		go func(client int) {
			defer waiting.Done()
			for turn := 0; turn < moves; {
				_, err := driver.Execute(ctx, func(txn qldbdriver.Transaction) (interface{}, error) {
					return nil, move(txn, client+turn)
				})
				lock.Lock()
				if err == nil {
					turn++
					done++
				} else {
					failed[codeOf(err)] = true
				}
				lock.Unlock()
			}
		}(client)
	}
	fmt.Fprintln(os.Stderr, "moving")
	waiting.Wait()
	sum := 0
	for _, row := range must(run(driver, "SELECT balance FROM Account")) {
		var found account
		check(ion.Unmarshal(row, &found))
		sum += found.Balance
	}
	codes := []string{}
	for code := range failed {
		codes = append(codes, code)
	}
	sort.Strings(codes)
	return object{"done": done, "failed": codes, "sum": sum}
}

func main() {
	scenarios := map[string]func(*qldbdriver.QLDBDriver) object{
		"tables": tables, "values": values, "pages": pages, "errors": errorsOf, "expiry": expiry,
		"capacity": capacity, "accounts": openAccounts, "money": money,
	}
	driver := open(os.Args[2], 4)
	printed, err := json.Marshal(scenarios[os.Args[3]](driver))
	check(err)
	fmt.Println(string(printed))
	driver.Shutdown(ctx)
}
