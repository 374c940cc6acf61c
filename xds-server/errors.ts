/**
 * Every error code of the server and the command line: what it means and what to do about it. A code never changes its meaning.
 * docs/errors.md mirrors this table one to one.
 */

export interface ErrorEntry {
  readonly meaning: string;
  readonly remedy: string;
}

export const ERRORS = {
  TM_CONFIG_UNREADABLE: {
    meaning: "A configuration file or folder cannot be read.",
    remedy: "Check that the path exists and that the server may read it.",
  },
  TM_CONFIG_EMPTY: {
    meaning: "The configuration folder holds no document. Serving nothing would take down what runs, so it is refused.",
    remedy: "Put at least one YAML document into the folder.",
  },
  TM_CONFIG_TOO_LARGE: {
    meaning: "A configuration file, or all of them together, is larger than the server accepts.",
    remedy:
      "Split the file (at most 1 MiB each, 16 MiB and 1,000 files together), or remove files that do not belong into the folder.",
  },
  TM_CONFIG_TOO_COMPLEX: {
    meaning:
      "A YAML file is nested too deeply, has too many documents or anchors, or expands to too many nodes through aliases.",
    remedy: "Write the values out instead of nesting aliases, or split the file.",
  },
  TM_CONFIG_SYNTAX: {
    meaning: "The file is not valid YAML.",
    remedy: "Correct the YAML at this position; check indentation, quotes and colons.",
  },
  TM_CONFIG_DUPLICATE_KEY: {
    meaning: "A mapping has the same key twice.",
    remedy: "Remove one of the two; YAML does not say which one would count.",
  },
  TM_CONFIG_UNKNOWN_KIND: {
    meaning: "The document's apiVersion and kind are not ones that the server reads.",
    remedy:
      "Use Gateway, ServiceEntry, VirtualService or DestinationRule of networking.istio.io/v1 (v1beta1, v1alpha3), LLMRouter, TokenRateLimit, EndpointPicker, PromptCache, DiscoverySource, NodeGroup or EnvoyResources of tokenmesh.io/v1alpha1, or Secret of v1.",
  },
  TM_CONFIG_UNKNOWN_FIELD: {
    meaning: "A field is not part of the kind's schema; usually a spelling mistake.",
    remedy: "Correct the spelling or remove the field.",
  },
  TM_CONFIG_UNSUPPORTED: {
    meaning:
      "The field or value exists in Istio but this server does not implement it, and ignoring it would change what traffic does.",
    remedy: "Remove it.",
  },
  TM_CONFIG_MISSING_FIELD: {
    meaning: "A required field is missing.",
    remedy: "Add the field.",
  },
  TM_CONFIG_WRONG_TYPE: {
    meaning: "A value has the wrong YAML type.",
    remedy:
      "Write the value in the expected type; numbers stand without quotes, texts that look like numbers with quotes.",
  },
  TM_CONFIG_INVALID_VALUE: {
    meaning: "A value has the right type but is out of range or malformed.",
    remedy: "Use a value as the message says.",
  },
  TM_CONFIG_DUPLICATE: {
    meaning: "Two things have the same name where names must be unique.",
    remedy: "Rename or remove one of them.",
  },
  TM_CONFIG_UNKNOWN_REFERENCE: {
    meaning: "A name refers to something that no file defines.",
    remedy: "Define it, or correct the name.",
  },
  TM_CONFIG_CONFLICT: {
    meaning: "Two definitions contradict each other.",
    remedy: "Keep one of them.",
  },
  TM_CONFIG_UNUSED: {
    meaning: "A warning: a document is right and takes effect nowhere.",
    remedy: "Put it into the namespace of a Gateway, or name the Gateways in the annotation tokenmesh.io/gateways.",
  },
  TM_CONFIG_NO_ADDRESSES: {
    meaning: "A warning: the server knows no address of a service that an EndpointPicker is to pick from.",
    remedy: "Give the ServiceEntry resolution STATIC and endpoints with IP addresses.",
  },
  TM_CONFIG_OVERRIDDEN: {
    meaning: "A warning: a value is right and has no effect, because another document decides the same.",
    remedy: "Remove the value, or the document that the message names.",
  },
  TM_RECORD_INVALID: {
    meaning: "A key or a value is not one that the state store takes.",
    remedy: "Use keys of a-z, 0-9, `/`, `.`, `_` and `-`, at most 200 characters, and values of at most 900 KiB.",
  },
  TM_STATE_TOO_LARGE: {
    meaning:
      "Documents that were to be changed together are more than the state store can change as one. None of them was changed.",
    remedy:
      "Send them in several requests, each valid by itself: Consul takes 64 documents and 380 KiB compressed at once, Kubernetes 960 KiB compressed, the others 1,000 documents and 20 MiB.",
  },
  TM_STATE_LOCKED: {
    meaning: "The state folder is in use by another process.",
    remedy:
      "Stop the other server, or give each a folder of its own; replicas share their state through Redis, Consul or Kubernetes.",
  },
  TM_STATE_DAMAGED: {
    meaning: "The state folder holds files that are not what the server has written.",
    remedy: "Restore the files from a backup, or remove them: what they held is lost then.",
  },
  TM_WEIGHT_INVALID: {
    meaning: "Weights that were asked for are not ones that endpoints can have; none of them was set.",
    remedy:
      "Send 1 to 1,000 changes, each for another endpoint, with a weight from 0 (it drains) to 1,000,000, or null for that of the configuration; 10,000 endpoints may have one.",
  },
  TM_REGISTRY_INVALID: {
    meaning: "A request to the registry names a service or an instance that cannot be, or its body is not an instance.",
    remedy:
      "Use names of a-z, 0-9, `.`, `_` and `-` (100 characters for a service, 80 for an instance), and send address, port and, if other than usual, weight, ttl, health, locality and labels.",
  },
  TM_REGISTRY_UNKNOWN: {
    meaning: "The registry does not know this instance: it has not registered, has left, or was silent for too long.",
    remedy: "Register it again.",
  },
  TM_REGISTRY_FULL: {
    meaning: "The registry holds as many instances as it takes.",
    remedy: "Remove instances; the registry takes 10,000.",
  },
  TM_FILTER_MISSING: {
    meaning: "The compiled filter that a configuration needs is not where the server looks for it.",
    remedy: "Build the filters: npm run build:filters.",
  },
  TM_DISCOVERY_UNREACHABLE: {
    meaning: "A source of service discovery cannot be reached; the last endpoints that it named stay.",
    remedy: "Check that it runs and that the address of the DiscoverySource is right.",
  },
  TM_DISCOVERY_TIMEOUT: {
    meaning: "A source of service discovery did not answer in time; the last endpoints that it named stay.",
    remedy: "Check its load and the network to it.",
  },
  TM_DISCOVERY_DENIED: {
    meaning: "A source of service discovery refuses this server.",
    remedy: "Check the token or the user of the DiscoverySource, and what it may read.",
  },
  TM_DISCOVERY_FAILED: {
    meaning: "A source of service discovery answers with an error; the last endpoints that it named stay.",
    remedy: "Look at the message and at the log of the source.",
  },
  TM_DISCOVERY_MALFORMED: {
    meaning: "What a source of service discovery says cannot be understood; the last endpoints that it named stay.",
    remedy: "Check that the address is that of the right kind of source, and correct what the message names.",
  },
  TM_DISCOVERY_TOO_LARGE: {
    meaning: "An answer of a source of service discovery is larger than the server accepts.",
    remedy: "Split the service, or ask for a part of it; at most 10,000 endpoints and 16 MiB are read.",
  },
  TM_DISCOVERY_EMPTY: {
    meaning:
      "A source of service discovery names no endpoint and may not know them yet; the last endpoints that it named stay.",
    remedy: "Wait until instances have registered again; if there really are none, remove the ServiceEntry.",
  },
  TM_DISCOVERY_SECRET: {
    meaning: "The token, password or caFile of a DiscoverySource cannot be read.",
    remedy: "Set the environment variable, or write the file, that the DiscoverySource names.",
  },
  TM_BUILD_FAILED: {
    meaning: "A valid configuration could not be turned into Envoy resources. This is a mistake in tokenmesh.",
    remedy: "Report it with the message and the configuration; the last good configuration stays in force.",
  },
  TM_ROLLBACK_UNAVAILABLE: {
    meaning: "There is nothing that a node group could be rolled back to.",
    remedy:
      "Correct the configuration instead; a group can go back once all its Envoys have accepted something else than what is served.",
  },
  TM_USAGE: {
    meaning: "An option or argument has the wrong form.",
    remedy: "Addresses are HOST:PORT, for example 127.0.0.1:0; see tokenmesh --help.",
  },
  TM_TLS_INVALID: {
    meaning: "A certificate, its key or the authorities of clients cannot be used for TLS.",
    remedy: "Give PEM files; the key must be that of the certificate. The old certificates stay in use.",
  },
  TM_LISTEN_FAILED: {
    meaning: "An address cannot be bound.",
    remedy: "Choose a free address, or port 0 for any free port.",
  },
  TM_API_UNPROTECTED: {
    meaning: "The admin API is to listen beyond loopback with nothing that says who may use it.",
    remedy: "Give --api-token-file or --api-client-ca, or listen on 127.0.0.1.",
  },
  TM_API_CREDENTIALS: {
    meaning: "A token, a certificate or a key of the admin API cannot be used.",
    remedy: "Check that the file exists, that the server may read it, and that key and certificate belong together.",
  },
  TM_API_BAD_REQUEST: {
    meaning: "A request of the admin API has the wrong form.",
    remedy: "Send what GET /openapi.json describes.",
  },
  TM_API_UNAUTHORIZED: {
    meaning: "The token of a request is missing or wrong.",
    remedy:
      "Send authorization: Bearer TOKEN; on the command line --token-file, TOKENMESH_TOKEN_FILE or TOKENMESH_API_TOKEN.",
  },
  TM_API_FORBIDDEN: {
    meaning:
      "The admin API does not take this request from there: it comes from a web page, or from another machine without a token.",
    remedy:
      "Call from the server's own machine with a client that is not a browser, or start the server with --api-token-file.",
  },
  TM_API_NOT_FOUND: {
    meaning: "There is nothing at this path or under this name.",
    remedy: "See GET /openapi.json for the paths, and the list of the kind for the names.",
  },
  TM_API_METHOD: {
    meaning: "The path does not know this method.",
    remedy: "Use a method of the answer's header allow.",
  },
  TM_API_CONFLICT: {
    meaning: "The document was changed by somebody else since it was read, or belongs to a file.",
    remedy: "Read it again and repeat the change; a document of a file is changed in the file.",
  },
  TM_API_TOO_LARGE: {
    meaning: "The body of a request is larger than the server accepts.",
    remedy: "Send fewer or smaller documents at once.",
  },
  TM_API_TOO_MANY: {
    meaning: "Too many requests from one address.",
    remedy: "Come again after retry-after.",
  },
  TM_API_INVALID: {
    meaning: "What was sent is no valid configuration together with what is in force. Nothing was changed.",
    remedy: "Correct what details say.",
  },
  TM_API_UNKNOWN_ENDPOINT: {
    meaning: "A weight is for a cluster or an endpoint that is not served. Nothing was changed.",
    remedy: "See GET /api/v1/endpoints for clusters, addresses and ports.",
  },
  TM_API_NOT_READY: {
    meaning: "The server has no configuration yet.",
    remedy: "See GET /ready for what is wrong with it.",
  },
  TM_API_NACKED: {
    meaning: "The change is in force on the server and an Envoy rejected it; that Envoy keeps what it had.",
    remedy: "Correct what details say, or go back with POST /api/v1/rollback or the former document.",
  },
  TM_API_TIMEOUT: {
    meaning: "The change was stored, and what the request waits for did not happen in time.",
    remedy: "See GET /api/v1/status for what is missing, or wait longer with timeout.",
  },
  TM_API_PARTIAL: {
    meaning:
      "A change turned out not to be servable, and documents of it stand in the state store because they could not be taken back.",
    remedy:
      "Details name them. When the store answers again, send all documents of the change once more, corrected, or the former ones; what stands counts until then.",
  },
  TM_API_UNREACHABLE: {
    meaning: "The command line cannot reach the admin API of the server.",
    remedy: "Give its address with --server or TOKENMESH_SERVER, and see that it runs.",
  },
  TM_STORE_UNAVAILABLE: {
    meaning:
      "The state store does not answer, so nothing can be changed; what is served stays. A change that was under way was made as a whole, or not at all.",
    remedy: "See that the store of --state runs and can be reached.",
  },
  TM_INTERNAL: {
    meaning: "A request failed for a reason that is a mistake in tokenmesh.",
    remedy: "Report it with what the server's log says.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a code of the table; its message ends with the remedy. */
export class ServerError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(`${code} ${message}; ${ERRORS[code].remedy}`);
    this.name = "ServerError";
    this.code = code;
  }
}
