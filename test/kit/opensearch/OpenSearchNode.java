import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/** One OpenSearch node without security. Arguments: a folder, the port of HTTP, the port of the transport, then name=value settings. */
public final class OpenSearchNode extends Node {
  private static final List<Class<? extends Plugin>> MODULES =
      List.of(
          Netty4Plugin.class,
          CommonAnalysisPlugin.class,
          PainlessPlugin.class,
          MapperExtrasPlugin.class,
          ReindexPlugin.class);

  private OpenSearchNode(Settings settings) {
    super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "opensearch"), MODULES, true);
  }

  public static void main(String[] args) throws Exception {
    Path home = Path.of(args[0]).toAbsolutePath();
    Settings.Builder settings =
        Settings.builder()
            .put("path.home", home.toString())
            .put("http.port", args[1])
            .put("transport.port", args[2])
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            .put("node.name", "opensearch")
            .put("cluster.name", "opensearch")
            .put("http.type", "netty4")
            .put("transport.type", "netty4");
    for (int each = 3; each < args.length; each++) {
      String[] setting = args[each].split("=", 2);
      settings.put(setting[0], setting[1]);
    }
    Node node = new OpenSearchNode(settings.build());
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  try {
                    node.close();
                  } catch (Exception thrown) {
                    thrown.printStackTrace();
                  }
                }));
    node.start();
    Thread.currentThread().join();
  }
}
