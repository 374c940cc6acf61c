/** Starting a fixture of test/sdk/wasm on the test host, and reading what it reported. */
import { type LoadOptions, type Plugin, type PluginSpec, ProxyWasmHost, type Stream } from "../host/index.ts";

export const requestHeaders = (op: string, more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  ":method": "POST",
  ":path": "/sdk",
  ":scheme": "http",
  ":authority": "sdk",
  op,
  ...more,
});

/** `name` is the fixture without its "sdk-"; it is also the root id. */
export async function startFixture(
  name: string,
  spec: PluginSpec = {},
  options: LoadOptions = {},
): Promise<{ host: ProxyWasmHost; plugin: Plugin }> {
  const host = await ProxyWasmHost.load(`build/test-wasm/sdk-${name}.wasm`, options);
  return { host, plugin: host.plugin({ name, rootId: name, ...spec }) };
}

/** Values that the fixture said, as headers "out-<name>" at the upstream. */
export function saidBy(stream: Stream): Record<string, string | string[]> {
  const headers = stream.upstream.headers?.toObject() ?? {};
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => name.startsWith("out-"))
      .map(([name, value]) => [name.slice(4), value]),
  );
}

export const notesOf = (stream: Stream): string[] => stream.logs.map(({ message }) => message);
