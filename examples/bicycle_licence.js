// Licences to ride a bicycle, their holders' contacts and endorsements, by QLDB's driver for Node.js; and three ways to
// redact. node bicycle_licence.js LEDGER prints what is left as JSON. The people are made up.
'use strict';
const { QldbDriver } = require('amazon-qldb-driver-nodejs');

const TABLES = { Licence: 'licenceId', Contact: 'licenceId', Endorsement: 'licenceId' };

class Licences {
  constructor(driver) { this.driver = driver; }

  async run(text, ...parameters) {
    return (await this.driver.executeLambda((txn) => txn.execute(text, ...parameters))).getResultList();
  }

  async create() {
    for (const [table, field] of Object.entries(TABLES)) {
      await this.run(`CREATE TABLE ${table}`);
      await this.run(`CREATE INDEX ON ${table} (${field})`);
    }
  }

  async tableId(name) {
    const [row] = await this.run('SELECT tableId FROM information_schema.user_tables WHERE name = ?', name);
    return row.get('tableId').stringValue();
  }

  // A licence and its contact, in one transaction. The licence's id is that of its document.
  async issue(holder, mobile) {
    return this.driver.executeLambda(async (txn) => {
      const [licence] = (await txn.execute('INSERT INTO Licence ?', { ...holder, points: 0 })).getResultList();
      const licenceId = licence.get('documentId').stringValue();
      await txn.execute('UPDATE Licence AS l BY id SET l.licenceId = ? WHERE id = ?', licenceId, licenceId);
      await txn.execute('INSERT INTO Contact ?', { licenceId, mobile });
      return licenceId;
    });
  }

  // An endorsement adds its points to the licence.
  async endorse(licenceId, code, points) {
    await this.driver.executeLambda(async (txn) => {
      await txn.execute('INSERT INTO Endorsement ?', { licenceId, code, points });
      await txn.execute('UPDATE Licence SET points = points + ? WHERE licenceId = ?', points, licenceId);
    });
  }

  async move(licenceId, street) {
    await this.run('UPDATE Licence SET street = ? WHERE licenceId = ?', street, licenceId);
  }

  // The revisions of a document, oldest first: [version, its data or null].
  async history(table, documentId) {
    const rows = await this.run(`SELECT * FROM history(${table}) AS h WHERE h.metadata.id = ?`, documentId);
    return rows
      .map((row) => ({ version: row.get('metadata').get('version').numberValue(), address: row.get('blockAddress'), data: row.get('data') }))
      .sort((one, other) => one.version - other.version);
  }

  async redact(table, documentId, address) {
    const tableId = await this.tableId(table);
    await this.run('EXEC redact_revision ?, ?, ?', address, tableId, documentId);
  }

  // First way: a number that changes. The old one leaves the document, then the revision that had it is redacted.
  async changeMobile(licenceId, mobile) {
    const query = 'SELECT c.blockAddress, c.metadata.id FROM _ql_committed_Contact AS c WHERE c.data.licenceId = ?';
    const [before] = await this.driver.executeLambda(async (txn) => {
      const found = (await txn.execute(query, licenceId)).getResultList();
      await txn.execute('UPDATE Contact REMOVE mobile WHERE licenceId = ?', licenceId);
      return found;
    });
    const tableId = await this.tableId('Contact');
    await this.driver.executeLambda(async (txn) => {
      await txn.execute('EXEC redact_revision ?, ?, ?', before.get('blockAddress'), tableId, before.get('id'));
      await txn.execute('UPDATE Contact SET mobile = ? WHERE licenceId = ?', mobile, licenceId);
    });
    return before.get('id').stringValue();
  }

  // Second way: one former revision.
  async redactVersion(licenceId, version) {
    const found = (await this.history('Licence', licenceId)).find((one) => one.version === version);
    await this.redact('Licence', licenceId, found.address);
  }

  // Third way: the document is deleted, then each revision that has data is redacted, one a transaction.
  async forget(licenceId) {
    await this.run('DELETE FROM Licence WHERE licenceId = ?', licenceId);
    for (const { address, data } of await this.history('Licence', licenceId)) {
      if (data) await this.redact('Licence', licenceId, address);
    }
  }
}

const shown = (revisions, field) => revisions.map(({ data }) => (data && data.get(field) ? data.get(field).stringValue() : null));

(async () => {
  const driver = new QldbDriver(process.argv[2]);
  const licences = new Licences(driver);
  await licences.create();
  const ada = await licences.issue({ firstName: 'Ada', street: '1 Sample Row' }, '07700 900001');
  const bob = await licences.issue({ firstName: 'Bob', street: '2 Sample Row' }, '07700 900002');
  await licences.endorse(ada, 'NO-BELL', 3);
  await licences.move(ada, '9 Example Street');
  const contact = await licences.changeMobile(ada, '07700 900003');
  await licences.redactVersion(ada, 1);
  await licences.forget(bob);
  console.log(JSON.stringify({
    mobiles: shown(await licences.history('Contact', contact), 'mobile'),
    streets: shown(await licences.history('Licence', ada), 'street'),
    forgotten: shown(await licences.history('Licence', bob), 'firstName'),
    points: (await licences.run('SELECT points FROM Licence WHERE licenceId = ?', ada))[0].get('points').numberValue(),
  }));
  driver.close();
})().catch((error) => { console.error(error); process.exit(1); });
