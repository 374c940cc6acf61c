import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ControlPlaneFixture, discovered } from "../../test/fixtures/control-plane.ts";
import { SERVER } from "../../test/fixtures/tls/index.ts";

/** The YAML of docs/xds-server.md is a configuration that is published. */

const page = readFileSync(new URL("../../docs/xds-server.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
const SOURCE = `
apiVersion: tokenmesh.io/v1alpha1
kind: DiscoverySource
metadata: {name: consul}
spec: {registry: {}}`;

it("docs/xds-server.md: all examples together", () => {
  const plane = new ControlPlaneFixture();
  try {
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    const texts = blocks.map((text) =>
      text
        .replace("tls.crt: LS0tLS1CRUdJTi...", `tls.crt: ${base64(SERVER.cert)}`)
        .replace("tls.key: LS0tLS1CRUdJTi...", `tls.key: ${base64(SERVER.key)}`),
    );
    plane.write("a.yaml", SOURCE, ...texts);
    plane.discover("default/llama", discovered("192.0.2.1"));
    expect([plane.control.load(), plane.control.errors, plane.control.warnings]).toEqual(["published", [], []]);
    expect(plane.cache.groups()).toEqual(["edge-eu", "default"]);
    expect([...plane.versions("edge-eu").keys()]).toEqual([
      "CDS outbound|8000||llama.models.internal",
      "EDS outbound|8000||llama.models.internal",
      "SDS default/shop-cert",
      "LDS default/edge/https",
      "RDS default/edge/https",
      "VHDS shop-table/late.shop.test",
      "RTDS switches",
    ]);
  } finally {
    plane.dispose();
  }
});
