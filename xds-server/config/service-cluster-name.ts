/** Names of the clusters that services become. */

/** `outbound|80|v1|host`, the name Istio gives to the same thing; `subset` undefined for all endpoints. */
export function serviceClusterName(host: string, port: number, subset: string | undefined): string {
  return `outbound|${port}|${subset ?? ""}|${host}`;
}
