// An application that makes the classic mistakes with a pool of HikariCP, and
// one that makes none, for java.pl.  Clients.pm tells which mistakes there are,
// and what the lines mean that are read and written here.  One command more,
// "reported", answers with the PIDs of the leaks that HikariCP has logged.
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.sql.DataSource;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;
import org.postgresql.util.PSQLWarning;
import org.postgresql.util.ServerErrorMessage;

public class Leaks {
	static final String APPLICATION = "Leaks.java";
	static final String CHECK_VIOLATION = "23514";
	static final String URL = String.format("jdbc:postgresql://%s:%s/%s?user=%s&ApplicationName=%s",
		System.getenv("PGHOST"), System.getenv("PGPORT"), System.getenv("PGDATABASE"),
		System.getenv("PGUSER"), APPLICATION);

	interface Mistake {
		void make(Pool pool) throws Exception;
	}

	interface Work {
		void on(Connection connection) throws SQLException;
	}

	interface ProperWay {
		void pay(DataSource pool, int pieces) throws SQLException;
	}

	static final Map<String, Mistake> MISTAKES = Map.of(
		"never_released", Leaks::neverReleased,
		"release_skipped", Leaks::releaseSkipped,
		"no_commit", Leaks::noCommit,
		"no_rollback", Leaks::noRollback,
		"no_answer", Leaks::noAnswer,
		"heartbeat", Leaks::heartbeat);

	static final List<ProperWay> PROPER_WAYS = List.of(
		Leaks::payWithFinally,
		(pool, pieces) -> withConnection(pool, connection -> {
			pay(connection, "with_connection", pieces);
			connection.commit();
		}),
		(pool, pieces) -> withTransaction(pool,
			connection -> pay(connection, "with_transaction", pieces)));

	// Record a payment, with tags as sqlcommenter adds them.  The server refuses
	// one of no pieces.
	static void pay(Connection connection, String action, int pieces) throws SQLException {
		try (PreparedStatement statement = connection.prepareStatement(
				"INSERT INTO payment (item, pieces) VALUES (?, ?) /*action='" + action
					+ "',controller='checkout'*/")) {
			statement.setString(1, "lamp");
			statement.setInt(2, pieces);
			statement.executeUpdate();
		}
	}

	static void neverReleased(Pool pool) throws SQLException {
		Connection connection = pool.getConnection();

		pay(connection, "never_released", 1);
		connection.commit();
	}

	static void releaseSkipped(Pool pool) throws SQLException {
		Connection connection = pool.getConnection();

		connection.setAutoCommit(true);
		pay(connection, "release_skipped", 0);
		connection.close();
	}

	// This pool rolls back what is given back without COMMIT: this one is kept.
	static void noCommit(Pool pool) throws SQLException {
		Connection connection = pool.getConnection();

		pay(connection, "no_commit", 1);
	}

	static void noRollback(Pool pool) throws SQLException {
		Connection connection = pool.getConnection();

		pay(connection, "no_rollback", 1);
		try {
			pay(connection, "no_rollback", 0);
		} catch (SQLException e) {
			// logged somewhere, and taken for dealt with
		}
	}

	static void noAnswer(Pool pool) throws Exception {
		try (Connection connection = pool.getConnection()) {
			pay(connection, "no_answer", 1);
			new CompletableFuture<Void>().get(); // what the bank says
			connection.commit();
		}
	}

	static void heartbeat(Pool pool) throws Exception {
		Connection connection = pool.getConnection();

		pay(connection, "heartbeat", 1);
		while (true) {
			pool.execute("SELECT 1 /*action='heartbeat',controller='checkout'*/");
			Thread.sleep(20);
		}
	}

	static void payWithFinally(DataSource pool, int pieces) throws SQLException {
		Connection connection = pool.getConnection();

		try {
			pay(connection, "finally", pieces);
			connection.commit();
		} finally {
			connection.close(); // rolls back what is not committed
		}
	}

	static void withConnection(DataSource pool, Work work) throws SQLException {
		try (Connection connection = pool.getConnection()) {
			work.on(connection);
		}
	}

	static void withTransaction(DataSource pool, Work work) throws SQLException {
		withConnection(pool, connection -> {
			try {
				work.on(connection);
				connection.commit();
			} catch (SQLException | RuntimeException e) {
				connection.rollback();
				throw e;
			}
		});
	}

	// A pool of one connection, which knows the connection that it has given
	// away, and keeps the warnings of what is executed there by its method.
	static class Pool extends HikariDataSource {
		final CompletableFuture<Connection> connection = new CompletableFuture<>();
		final List<String> warnings = Collections.synchronizedList(new ArrayList<>());

		Pool() {
			super(config(1, 2000)); // the shortest that HikariCP takes
		}

		@Override
		public Connection getConnection() throws SQLException {
			Connection taken = super.getConnection();

			connection.complete(taken);
			return taken;
		}

		void execute(String sql) throws SQLException {
			try (Statement statement = connection.join().createStatement()) {
				statement.execute(sql);
				for (SQLWarning w = statement.getWarnings(); w != null; w = w.getNextWarning()) {
					warnings.add(((PSQLWarning) w).getServerErrorMessage().getSeverity() + " "
						+ w.getSQLState() + " " + w.getMessage());
				}
			}
		}

		PGConnection session() throws SQLException {
			return connection.join().unwrap(PGConnection.class);
		}
	}

	static HikariConfig config(int size, long leakDetectionThreshold) {
		HikariConfig config = new HikariConfig();

		config.setJdbcUrl(URL);
		config.setAutoCommit(false);
		config.setMinimumIdle(0);
		config.setMaximumPoolSize(size);
		config.setLeakDetectionThreshold(leakDetectionThreshold);
		return config;
	}

	// The connections that HikariCP has reported, by the name that it gives them.
	static class Reported extends Handler {
		static final Pattern LEAK = Pattern.compile("Connection leak detection triggered for (\\S+)");
		final List<String> connections = Collections.synchronizedList(new ArrayList<>());

		@Override
		public void publish(LogRecord record) {
			Matcher leak = LEAK.matcher(record.getMessage());

			if (leak.find()) {
				connections.add(leak.group(1));
			}
		}

		@Override
		public void flush() {
		}

		@Override
		public void close() {
		}
	}

	static final Map<String, Pool> made = new HashMap<>(); // by the name of the mistake
	static final Reported reported = new Reported();
	// Kept, for a logger that nobody holds is forgotten with its handlers.
	static final Logger detection = Logger.getLogger("com.zaxxer.hikari.pool.ProxyLeakTask");

	// The mistake goes on in a thread of its own, as forgotten work does; its
	// error is one that somebody handles, but not by giving the connection back.
	static String make(String name) throws Exception {
		Pool pool = new Pool();
		Thread forgotten = new Thread(() -> {
			try {
				MISTAKES.get(name).make(pool);
			} catch (Exception e) {
				// logged somewhere
			}
		});

		made.put(name, pool);
		forgotten.start();
		return String.valueOf(pool.session().getBackendPID());
	}

	static String undo(String name) throws SQLException {
		Pool pool = made.get(name);

		pool.execute("ROLLBACK");
		return String.join("\n", pool.warnings);
	}

	static String load(int workers, int times) throws Exception {
		DataSource pool = new HikariDataSource(config(4, 5000));
		ExecutorService threads = Executors.newFixedThreadPool(workers);
		int refused = 0;
		Callable<Integer> work = () -> {
			int violations = 0;

			for (int i = 0; i < times; i++) {
				try {
					PROPER_WAYS.get(i % PROPER_WAYS.size()).pay(pool, i % 5);
				} catch (SQLException e) {
					if (!e.getSQLState().equals(CHECK_VIOLATION)) {
						throw e;
					}
					violations++;
				}
			}
			return violations;
		};

		for (Future<Integer> violations : threads.invokeAll(Collections.nCopies(workers, work))) {
			refused += violations.get();
		}
		threads.shutdown();
		return (workers * times - refused) + " paid, " + refused + " refused";
	}

	static String check(String grace) throws SQLException {
		try (Connection connection = DriverManager.getConnection(URL);
				PreparedStatement statement = connection.prepareStatement(
					"SELECT leakwatch.assert_no_leaks(?, ?::interval)")) {
			statement.setString(1, APPLICATION);
			statement.setString(2, grace);
			statement.execute();
			return "no leaks";
		} catch (PSQLException e) {
			ServerErrorMessage error = e.getServerErrorMessage();

			return error.getSQLState() + " " + error.getMessage() + "\n" + error.getDetail();
		}
	}

	static String pidsReported() throws SQLException {
		Map<String, String> pids = new HashMap<>();

		for (Pool pool : made.values()) {
			PGConnection session = pool.session();

			pids.put(session.toString(), String.valueOf(session.getBackendPID()));
		}
		synchronized (reported.connections) {
			return reported.connections.stream()
				.map(name -> pids.getOrDefault(name, name))
				.collect(Collectors.joining(" "));
		}
	}

	static String answer(String[] words) throws Exception {
		switch (words[0]) {
			case "do":
				return make(words[1]);
			case "undo":
				return undo(words[1]);
			case "load":
				return load(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
			case "check":
				return check(words[1]);
			case "reported":
				return pidsReported();
			default:
				throw new IllegalArgumentException(words[0]);
		}
	}

	public static void main(String[] args) throws Exception {
		detection.addHandler(reported);

		BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
		String line;

		while ((line = commands.readLine()) != null) {
			System.out.println(answer(line.split(" ")) + "\n.");
		}
		System.exit(0); // whatever is still connected
	}
}
