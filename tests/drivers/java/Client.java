import com.amazon.ion.IonStruct;
import com.amazon.ion.IonSystem;
import com.amazon.ion.IonValue;
import com.amazon.ion.system.IonSystemBuilder;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.atomic.AtomicInteger;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.qldbsession.QldbSessionClient;
import software.amazon.qldb.QldbDriver;
import software.amazon.qldb.RetryPolicy;
import software.amazon.qldb.TransactionExecutor;

/** Drives QLDB's driver for Java. Prints one JSON object: java -cp … Client URL LEDGER SCENARIO */
public final class Client {
    private static final int ACCOUNTS = 6, CLIENTS = 16, MOVES = 2;
    private static final IonSystem ION = IonSystemBuilder.standard().build();
    private static String url, ledger;

    public static void main(String[] arguments) throws Exception {
        url = arguments[0];
        ledger = arguments[1];
        try (QldbDriver driver = open(ledger, 4)) {
            String printed = switch (arguments[2]) {
                case "tables" -> tables(driver);
                case "values" -> values(driver);
                case "pages" -> pages(driver);
                case "errors" -> errors(driver);
                case "expiry" -> expiry(driver);
                case "capacity" -> capacity(driver);
                case "accounts" -> accounts(driver);
                case "money" -> money(driver);
                default -> throw new IllegalArgumentException(arguments[2]);
            };
            System.out.println(printed);
        }
    }

    private static QldbDriver open(String name, int retries) {
        return QldbDriver.builder()
            .ledger(name)
            .sessionClientBuilder(QldbSessionClient.builder().region(Region.EU_WEST_2).endpointOverride(URI.create(url)))
            .transactionRetryPolicy(RetryPolicy.builder().maxRetries(retries).build())
            .build();
    }

    private static List<IonValue> run(QldbDriver driver, String statement, IonValue... parameters) {
        return driver.execute(txn -> { return execute(txn, statement, parameters); });
    }

    private static List<IonValue> execute(TransactionExecutor txn, String statement, IonValue... parameters) {
        List<IonValue> rows = new ArrayList<>();
        txn.execute(statement, parameters).forEach(rows::add);
        return rows;
    }

    private static IonValue text(String value) {
        return ION.newString(value);
    }

    private static String member(IonValue row, String name) {
        return ((com.amazon.ion.IonText) ((IonStruct) row).get(name)).stringValue();
    }

    private static int number(IonValue row, String name) {
        return ((com.amazon.ion.IonInt) ((IonStruct) row).get(name)).intValue();
    }

    /** A string as JSON. */
    private static String quoted(String value) {
        StringBuilder out = new StringBuilder("\"");
        value.chars().forEach(one -> out.append(
            one == '"' || one == '\\' ? "\\" + (char) one : one < 32 || one > 126 ? String.format("\\u%04x", one) : "" + (char) one));
        return out.append('"').toString();
    }

    private static AwsServiceException serviceError(Throwable error) {
        for (Throwable one = error; one != null; one = one.getCause()) {
            if (one instanceof AwsServiceException found) {
                return found;
            }
        }
        return null;
    }

    private static String failure(Runnable work) {
        try {
            work.run();
        } catch (RuntimeException error) {
            AwsServiceException found = serviceError(error);
            if (found == null) {
                throw error;
            }
            String message = found.awsErrorDetails().errorMessage();
            return String.format("{\"code\": %s, \"message\": %s}", quoted(found.awsErrorDetails().errorCode()), quoted(message));
        }
        throw new IllegalStateException("no error");
    }

    private static String tables(QldbDriver driver) {
        run(driver, "CREATE TABLE Vehicle");
        run(driver, "CREATE INDEX ON Vehicle (vin)");
        run(driver, "CREATE TABLE Gone");
        run(driver, "DROP TABLE Gone");
        List<String> names = new ArrayList<>();
        driver.getTableNames().forEach(name -> names.add(quoted(name)));
        return String.format("{\"tables\": %s}", names);
    }

    private static String values(QldbDriver driver) throws Exception {
        IonValue given = ION.singleValue(Files.readString(Path.of("tests", "drivers", "values.ion")));
        String id = member(run(driver, "INSERT INTO Vehicle ?", given).get(0), "documentId");
        IonValue found = run(driver, "SELECT * FROM Vehicle WHERE vin = ?", text("VALUES")).get(0);
        return String.format("{\"id\": %s, \"found\": %s}", quoted(id), quoted(found.toString()));
    }

    private static String pages(QldbDriver driver) {
        for (int start = 0; start < 450; start += 30) {
            var documents = ION.newEmptyList();
            for (int number = start; number < start + 30; number++) {
                documents.add(ION.singleValue(String.format("{vin: \"P%d\", page: true}", number)));
            }
            run(driver, "INSERT INTO Vehicle ?", documents);
        }
        List<IonValue> found = run(driver, "SELECT vin FROM Vehicle WHERE page = true");
        Set<String> distinct = new HashSet<>();
        found.forEach(row -> distinct.add(member(row, "vin")));
        int streamed = driver.execute(txn -> {
            int count = 0;
            for (IonValue ignored : txn.execute("SELECT * FROM Vehicle WHERE page = ?", ION.newBool(true))) {
                count++;
            }
            return count;
        });
        return String.format("{\"rows\": %d, \"distinct\": %d, \"streamed\": %d}", found.size(), distinct.size(), streamed);
    }

    private static String errors(QldbDriver driver) {
        run(driver, "INSERT INTO Vehicle {'vin': 'E1'}");
        AtomicInteger runs = new AtomicInteger();
        QldbDriver other = open(ledger, 4);
        String conflict = failure(() -> open(ledger, 2).execute(txn -> {
            runs.incrementAndGet();
            execute(txn, "SELECT * FROM Vehicle WHERE vin = 'E1'");
            run(other, "UPDATE Vehicle SET n = ? WHERE vin = 'E1'", ION.newInt(runs.get()));
        }));
        return String.format(
            "{\"conflict\": %s, \"runs\": %d, \"syntax\": %s, \"missing\": %s, \"exists\": %s, \"ledger\": %s}",
            conflict,
            runs.get(),
            failure(() -> run(driver, "SELECT FROM")),
            failure(() -> run(driver, "SELECT * FROM Nope")),
            failure(() -> run(driver, "CREATE TABLE Vehicle")),
            failure(() -> run(open("other", 0), "SELECT * FROM Vehicle")));
    }

    private static String expiry(QldbDriver driver) throws InterruptedException {
        String expired = failure(() -> driver.execute(txn -> {
            execute(txn, "SELECT * FROM Vehicle");
            sleep(1_500);
            execute(txn, "SELECT * FROM Vehicle");
        }));
        sleep(3_000); // the session is idle, and ended: the driver begins another
        return String.format("{\"expired\": %s, \"after\": %d}", expired, run(driver, "SELECT 1 FROM << 0 >>").size());
    }

    private static void sleep(long milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    /** The server has room for one transaction: another is refused until the first has ended. */
    private static String capacity(QldbDriver driver) {
        QldbDriver other = open(ledger, 4);
        String refused = driver.execute(txn -> {
            execute(txn, "SELECT * FROM Vehicle");
            return failure(() -> run(other, "SELECT * FROM Vehicle"));
        });
        return String.format("{\"refused\": %s, \"after\": %d}", refused, run(other, "SELECT 1 FROM << 0 >>").size());
    }

    private static String accounts(QldbDriver driver) {
        run(driver, "CREATE TABLE Account");
        run(driver, "CREATE INDEX ON Account (name)");
        var documents = ION.newEmptyList();
        for (int number = 0; number < ACCOUNTS; number++) {
            documents.add(ION.singleValue(String.format("{name: \"a%d\", balance: 100}", number)));
        }
        run(driver, "INSERT INTO Account ?", documents);
        return "{}";
    }

    private static void move(TransactionExecutor txn, int number) {
        int[] names = {number % ACCOUNTS, (number * 5 + 1) % ACCOUNTS}, amounts = {-1, 1};
        for (int place = 0; place < 2; place++) {
            IonValue name = text("a" + names[place]);
            int balance = number(execute(txn, "SELECT balance FROM Account WHERE name = ?", name).get(0), "balance");
            execute(txn, "UPDATE Account SET balance = ? WHERE name = ?", ION.newInt(balance + amounts[place]), name);
        }
    }

    /** 16 clients at once; each move is tried until it is done, over conflicts and lost servers. */
    private static String money(QldbDriver driver) throws InterruptedException {
        AtomicInteger done = new AtomicInteger();
        Set<String> failed = new ConcurrentSkipListSet<>();
        List<Thread> threads = new ArrayList<>();
        for (int client = 0; client < CLIENTS; client++) {
            int first = client;
            threads.add(new Thread(() -> {
                for (int turn = 0; turn < MOVES;) {
                    int number = first + turn;
                    try {
                        driver.execute(txn -> { move(txn, number); });
                        done.incrementAndGet();
                        turn++;
                    } catch (RuntimeException error) {
                        AwsServiceException found = serviceError(error);
                        failed.add(found == null ? error.getClass().getSimpleName() : found.awsErrorDetails().errorCode());
                    }
                }
            }));
        }
        threads.forEach(Thread::start);
        System.err.println("moving");
        for (Thread thread : threads) {
            thread.join();
        }
        int sum = 0;
        for (IonValue row : run(driver, "SELECT balance FROM Account")) {
            sum += number(row, "balance");
        }
        List<String> codes = new ArrayList<>();
        new TreeSet<>(failed).forEach(code -> codes.add(quoted(code)));
        return String.format("{\"done\": %d, \"failed\": %s, \"sum\": %d}", done.get(), codes, sum);
    }
}
