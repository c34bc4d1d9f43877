import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * One OpenSearch node on the loopback address, without TLS or logins: for tests and for trying things out.
 *
 * Launch DATA_DIR HTTP_PORT TRANSPORT_PORT [PID]: prints READY and its URL; ends with the process PID, if one is given.
 * The runner's own command line hides errors, starts three nodes and uses no port above 9299.
 */
public class Launch {
  public static void main(String[] arguments) throws Exception {
    String data = arguments[0], port = arguments[1], transport = arguments[2];
    if (arguments.length > 3) {
      endWith(Long.parseLong(arguments[3]));
    }
    OpenSearchRunner runner = new OpenSearchRunner();
    runner.setMaxHttpPort(-1);
    runner.onBuild((number, settings) -> {
      settings.put("http.port", port);
      settings.put("transport.port", transport);
      settings.put("network.host", "127.0.0.1");
      settings.put("discovery.type", "single-node");
      settings.put("node.name", "local");
      settings.put("bootstrap.memory_lock", false);
      settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        runner.close();
      } catch (Exception ignored) {
        // It ends anyway.
      }
    }));
    try {
      runner.build("-basePath", data, "-numOfNode", "1", "-clusterName", "local");
    } catch (Throwable failure) {
      failure.printStackTrace();
      System.exit(1);
    }
    System.out.println("READY http://127.0.0.1:" + port);
    System.out.flush();
    Thread.currentThread().join();
  }

  private static void endWith(long pid) {
    ProcessHandle.of(pid).ifPresentOrElse(
        process -> process.onExit().thenRun(() -> System.exit(0)), () -> System.exit(0));
  }
}
