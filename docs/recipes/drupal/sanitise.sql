-- Makes a copy of a Drupal database (8 or newer) harmless, before anybody is pointed to it, where there is no
-- Drush; with Drush, sql:sanitize does more. For MariaDB. Users of the team's own domain stay as they are.

UPDATE users_field_data SET
    name = CONCAT('user', uid),
    mail = CONCAT('user', uid, '@example.invalid'),
    init = CONCAT('user', uid, '@example.invalid'),
    pass = ''
WHERE uid > 0 AND COALESCE(mail, '') NOT LIKE '%@agency.example';

UPDATE comment_field_data SET
    name = CASE WHEN uid = 0 THEN 'Somebody' ELSE name END,
    mail = NULL,
    homepage = NULL,
    hostname = '';

DELETE FROM sessions;
DELETE FROM flood;
DELETE FROM watchdog;
DELETE FROM key_value_expire;

-- What modules keep of people: uncomment those that the site has.
-- DELETE FROM webform_submission_data; DELETE FROM webform_submission;
-- UPDATE commerce_order SET mail = CONCAT('order', order_id, '@example.invalid'), ip_address = '';
