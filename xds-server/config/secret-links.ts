/** Servers with TLS name a Secret of their Gateway's namespace that has what they need. */
import type { Diagnostics } from "./diagnostics.ts";
import { fullName } from "./gateway-scope.ts";
import type { ModelParts } from "./kind-registry.ts";
import { positionOf } from "./reader.ts";

export function checkCredentials({ gateways, secrets, damaged }: ModelParts, diagnostics: Diagnostics): void {
  const byName = new Map(secrets.map((secret) => [fullName(secret.metadata), secret]));
  for (const { metadata, servers } of gateways) {
    for (const { tls } of servers) {
      if (tls === undefined) continue;
      const name = fullName({ ...metadata, name: tls.credentialName });
      const secret = byName.get(name);
      const at = positionOf(tls, "credentialName");
      if (secret === undefined) {
        if (damaged.has("Secret")) continue;
        const message = `no Secret of type kubernetes.io/tls defines ${name}`;
        diagnostics.add("TM_CONFIG_UNKNOWN_REFERENCE", at, message);
      } else if (tls.mode === "MUTUAL" && secret.clientCa === undefined) {
        const message = `mode MUTUAL needs who signs the clients' certificates, and Secret ${name} has no ca.crt`;
        diagnostics.add("TM_CONFIG_MISSING_FIELD", at, message, "Add ca.crt to the Secret, or use mode SIMPLE.");
      }
    }
  }
}
