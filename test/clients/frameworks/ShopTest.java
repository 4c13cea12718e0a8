// Tests of an application, for frameworks.pl: one gives its connection back, the other
// forgets it if LEAK is set.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(NoLeaks.class)
@TestMethodOrder(MethodOrderer.MethodName.class)
public class ShopTest {
	static Connection forgotten;

	static Connection connect() throws SQLException {
		Connection connection = DriverManager.getConnection(System.getenv("TEST_DATABASE") + "&ApplicationName=shop");

		connection.setAutoCommit(false);
		connection.createStatement().execute("SELECT 'from java' /*action='pay'*/");
		return connection;
	}

	@Test
	void givesItBack() throws SQLException {
		try (Connection connection = connect()) {
			connection.commit();
		}
	}

	@Test
	void mayForgetIt() throws SQLException {
		forgotten = connect();
		if (System.getenv("LEAK") == null) {
			forgotten.close();
		}
	}
}
