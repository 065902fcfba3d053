import { describe, expect, test } from "vitest";
import { proposeLabels } from "./propose-labels.ts";

const email = { personal: "email", identifier: "email" };
const phone = { personal: "phone", identifier: "phone" };
const person = { personal: "account_id", identifier: "customer_id" };
const device = { personal: "device_id", identifier: "device_id" };

describe("personal by the name of the field", () => {
  test.each([
    ["email", ["a@example.org"], email],
    ["E-Mail Address", [], email],
    ["billing_email", ["x@y.example", "none"], email],
    ["Phone", ["0612345678"], phone],
    ["mobileNumber", [], phone],
    ["Fax", ["030-0076545"], { personal: "phone" }],
    ["firstName", ["Zoë"], { personal: "name" }],
    ["surname", ["waller"], { personal: "name" }],
    ["ContactName", ["Maria Anders"], { personal: "name" }],
    ["Address", ["Obere Str. 57"], { personal: "address" }],
    ["address_2", [], { personal: "address" }],
    ["ShipAddress", [], { personal: "address" }],
    ["postcode", ["4011"], { personal: "postal_code" }],
    ["PostalCode", ["WA1 1DP"], { personal: "postal_code" }],
    ["date_of_birth", ["19081209"], { personal: "birth_date" }],
    ["BirthDate", [], { personal: "birth_date" }],
    ["soc_sec_id", ["6988048"], { personal: "government_id" }],
    ["iban", [], { personal: "payment" }],
    ["user_ipaddress", ["192.0.2.1"], { personal: "ip" }],
    ["customer_id", ["7"], person],
    ["CustomerID", ["ALFKI"], person],
    ["user_id", [], person],
    ["domain_userid", [], device],
    ["device_id", [], device],
    ["anonymousId", [], device],
    ["comment", ["Fine, thanks"], { personal: "free_text" }],
    ["review_text", [], { personal: "free_text" }],
    ["Vorname", ["Zoë"], { personal: "name" }],
    ["adresse_courriel", ["a@example.org"], email],
    ["Geburtsdatum", ["1984-02-29"], { personal: "birth_date" }],
    ["code_postal", ["75011"], { personal: "postal_code" }],
    ["allergies", ["nuts"], { personal: "custom", sensitive: "health" }],
    ["religion", [], { personal: "custom", sensitive: "religion" }],
    ["medical_notes", ["none so far"], { personal: "free_text", sensitive: "health" }],
  ])("%s", (field, values, expected) => {
    expect(proposeLabels(field, values)).toEqual({ ...expected, why: expect.stringMatching(/by its name\.$/) });
  });

  test("id and name, where the stream is one of people", () => {
    expect(proposeLabels("id", ["1"], "raw_customers")).toMatchObject(person);
    expect(proposeLabels("name", ["Lauren Waller"], "users")).toMatchObject({ personal: "name" });
    expect(proposeLabels("id", ["1"], "orders")).toEqual({});
    expect(proposeLabels("name", ["page_view"], "events")).toEqual({});
  });
});

describe("personal by the shape of the values", () => {
  test.each([
    ["contact", ["a@example.org", "b.c@example.co.uk", "", "unknown"], email],
    ["reach", ["+33 6 12 34 56 78", "(030) 1234-5678", "+1 (555) 010-9999 ext 12"], phone],
    ["host", ["2001:db8::1", "192.0.2.17"], { personal: "ip" }],
    ["paid_from", ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"], { personal: "payment" }],
    ["paid_with", ["4111 1111 1111 1111", "5555555555554444"], { personal: "payment" }],
    ["reference_b", ["078-05-1120", "219-09-9999"], { personal: "government_id" }],
    ["line_1", ["12 rue de la Paix", "Hauptstraße 5", "221B Baker Street"], { personal: "address" }],
    [
      "said",
      ["The battery of this phone lasts two days.", "I would never buy one of these things again!"],
      { personal: "free_text" },
    ],
  ])("%s", (field, values, expected) => {
    const proposal = proposeLabels(field, values);
    expect(proposal).toEqual({ ...expected, why: expect.stringMatching(/most values look like/) });
    for (const value of values.filter((each) => each !== "")) expect(proposal.why).not.toContain(value);
  });
});

test.each([
  ["order_id", ["1", "2"]],
  ["product_name", ["Chai", "Chang"]],
  ["company_name", ["Alfreds Futterkiste"]],
  ["file_name", ["a.csv"]],
  ["event_name", ["page_view"]],
  ["created_at", ["2024-02-29 12:00:00", "2024-03-01 08:00:00"]],
  ["order_date", ["2024-02-29", "1996-07-04"]],
  ["shipped", ["29/02/2024", "01.03.2024"]],
  ["amount", ["1234567.89", "7654321.00"]],
  ["sku", ["10-200-3000x", "JAF-001"]],
  ["ean", ["4006381333931", "5901234123457"]],
  ["session_id", ["f73d0939-1304-410a-bfda-4bedc338e57c"]],
  ["url", ["https://shop.example/some/long/path?and=a&query=of&many=words&in=it"]],
  ["properties", ['{"a sentence": "with quite a few words in its value", "b": 1}']],
  ["email_opens", ["3", "4"]],
  ["email", ["yes", "no"]],
  ["description_length", ["3"]],
  ["city", ["Berlin", "México D.F."]],
  ["empty", ["", ""]],
  ["invoice", ["2024-0001-0002", "INV-12-3456"]],
  ["number", ["4111111111111112", "5555555555554443"]],
  ["place_of_sale", ["Berlin Mitte", "Paris Nord"]],
])("%s is not personal by itself", (field, values) => {
  expect(proposeLabels(field, values)).toEqual({});
});
