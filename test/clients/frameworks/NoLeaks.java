// NoLeaks.java
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

public class NoLeaks implements AfterEachCallback {
	@Override
	public void afterEach(ExtensionContext context) throws SQLException {
		try (Connection connection = DriverManager.getConnection(System.getenv("TEST_DATABASE"));
				Statement statement = connection.createStatement()) {
			statement.execute("SELECT leakwatch.assert_no_leaks('shop', '1s')");
		}
	}
}
