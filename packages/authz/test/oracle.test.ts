// The reference evaluator is what the compiler is measured by, so it is itself measured by the documented uses of models.
import { transformer } from "@openfga/syntax-transformer";
import { expect, test } from "vitest";
import { files, tupleOf } from "./openfga/files.ts";
import { evaluator, type Model, permits } from "./oracle/model.ts";
import { subject } from "./store.ts";

test.each(files)("The reference evaluator answers as documented: $name", (file) => {
  const model = transformer.transformDSLToJSONObject(file.model) as Model;
  for (const { tuples = [], check = [], list_objects = [], list_users = [], name } of file.tests) {
    const all = [...file.tuples, ...tuples].map(tupleOf);
    expect(all.filter((tuple) => !permits(model, tuple))).toEqual([]);
    for (const { user, users = [user ?? ""], object, objects = [object ?? ""], context, assertions } of check) {
      for (const [relation, isAllowed] of Object.entries(assertions)) {
        for (const who of users) {
          for (const what of objects) {
            const value = evaluator(model, all, context).check(subject(who), relation, subject(what));
            expect([name, who, relation, what, value === "C" ? "F" : value]).toEqual([
              name,
              who,
              relation,
              what,
              isAllowed ? "T" : "F",
            ]);
          }
        }
      }
    }
    for (const { user, context, assertions } of list_objects) {
      for (const [relation, objects] of Object.entries(assertions)) {
        const values = objects.map((each) =>
          evaluator(model, all, context).check(subject(user), relation, subject(each)),
        );
        expect(values).toEqual(objects.map(() => "T"));
      }
    }
    for (const { object, context, assertions } of list_users) {
      for (const [relation, { users }] of Object.entries(assertions)) {
        const values = users.map((each) =>
          evaluator(model, all, context).check(subject(each), relation, subject(object)),
        );
        expect(values).toEqual(users.map(() => "T"));
      }
    }
  }
});
