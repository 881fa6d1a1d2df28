import com.hivemq.embedded.EmbeddedExtension;
import com.hivemq.embedded.EmbeddedHiveMQ;
import com.hivemq.extension.sdk.api.ExtensionMain;
import com.hivemq.extension.sdk.api.auth.SimpleAuthenticator;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthInput;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthOutput;
import com.hivemq.extension.sdk.api.parameter.*;
import com.hivemq.extension.sdk.api.services.Services;
import java.nio.file.Files;
import java.nio.file.Path;

/** HiveMQ CE on 127.0.0.1; it keeps sessions, and all that waits for them, in files below the folder. Without an extension nobody may connect. */
public class Broker {
  static class AllowAll implements ExtensionMain {
    public void extensionStart(ExtensionStartInput input, ExtensionStartOutput output) {
      SimpleAuthenticator allow = (SimpleAuthInput in, SimpleAuthOutput out) -> out.authenticateSuccessfully();
      Services.securityRegistry().setAuthenticatorProvider(in -> allow);
    }

    public void extensionStop(ExtensionStopInput input, ExtensionStopOutput output) {}
  }

  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[1]);
    for (String name : new String[] {"conf", "data", "extensions"}) Files.createDirectories(folder.resolve(name));
    Files.writeString(
        folder.resolve("conf/config.xml"),
        "<hivemq><listeners><tcp-listener><port>" + args[0]
            + "</port><bind-address>127.0.0.1</bind-address></tcp-listener></listeners>"
            + "<mqtt><queued-messages><max-queue-size>10000000</max-queue-size></queued-messages></mqtt>"
            + "<anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics></hivemq>");
    EmbeddedExtension extension =
        EmbeddedExtension.builder()
            .withId("allow-all")
            .withName("allow-all")
            .withVersion("1")
            .withAuthor("bench")
            .withPriority(0)
            .withStartPriority(1000)
            .withExtensionMain(new AllowAll())
            .build();
    EmbeddedHiveMQ broker =
        EmbeddedHiveMQ.builder()
            .withConfigurationFolder(folder.resolve("conf"))
            .withDataFolder(folder.resolve("data"))
            .withExtensionsFolder(folder.resolve("extensions"))
            .withEmbeddedExtension(extension)
            .build();
    broker.start().join();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> broker.stop().join()));
    Thread.currentThread().join();
  }
}
