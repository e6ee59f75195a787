// Who may read what, in OpenFGA's language, and the tests that every version of it must pass.
import type { ModelTest } from "@howdah/authz";

export const model = `model
  schema 1.1

type user

type team
  relations
    define member: [user, team#member]

type folder
  relations
    define parent: [folder]
    define owner: [user]
    define viewer: [user, team#member, user with in_office] or owner or viewer from parent

type document
  relations
    define parent: [folder]
    define owner: [user]
    define blocked: [user, team#member]
    define viewer: [user, user:*] or owner or viewer from parent
    define can_read: viewer but not blocked

condition in_office(ip: ipaddress, network: string) {
  ip.in_cidr(network)
}
`;

/** The next version: who owns a folder also edits what lies in it. */
export const nextModel = model.replace(
  "    define blocked:",
  "    define editor: [user] or owner or owner from parent\n    define blocked:",
);

/** A version with a mistake: it forgets who is blocked. */
export const brokenModel = nextModel.replace("viewer but not blocked", "viewer");

export const tests: ModelTest[] = [
  {
    name: "a reader of a folder reads what lies in it, however deep",
    tuples: [
      "folder:docs#viewer@team:writers#member",
      "team:writers#member@team:interns#member",
      "team:interns#member@user:ina",
      "folder:docs/api#parent@folder:docs",
      "document:docs/api/queue.md#parent@folder:docs/api",
      "document:docs/api/queue.md#blocked@user:bob",
      "team:writers#member@user:bob",
    ],
    check: [
      { user: "user:ina", object: "document:docs/api/queue.md", assertions: { can_read: true, owner: false } },
      { user: "user:bob", object: "document:docs/api/queue.md", assertions: { viewer: true, can_read: false } },
    ],
    list_objects: [{ user: "user:ina", type: "document", assertions: { can_read: ["document:docs/api/queue.md"] } }],
  },
];
