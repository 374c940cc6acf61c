import { describeApiServer } from "../../test/conformance/kubernetes-api.ts";
import { FakeApiServer } from "../../test/fixtures/discovery/kubernetes-api-server.ts";

describeApiServer("API server (the fake of the tests)", async () => {
  const server = await FakeApiServer.start();
  const cluster = { server: server.url, namespace: "mesh", credentials: async () => ({ headers: {}, tls: {} }) };
  return { cluster, close: () => server.stop() };
});
