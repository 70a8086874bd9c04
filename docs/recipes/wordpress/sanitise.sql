-- Makes a copy of a WordPress database harmless, before anybody is pointed to it. For MariaDB; for another
-- prefix than wp_ replace it. Users of the team's own domain keep their addresses and passwords.

UPDATE wp_users SET
    user_email = CONCAT('user', ID, '@example.invalid'),
    user_login = CONCAT('user', ID),
    user_nicename = CONCAT('user', ID),
    display_name = CONCAT('User ', ID),
    user_url = '',
    user_activation_key = '',
    user_pass = ''
WHERE user_email NOT LIKE '%@agency.example';

DELETE FROM wp_usermeta WHERE meta_key IN ('session_tokens', 'community-events-location', '_application_passwords');
UPDATE wp_usermeta SET meta_value = ''
WHERE (meta_key IN ('first_name', 'last_name', 'nickname', 'description')
       OR meta_key LIKE 'billing\_%' OR meta_key LIKE 'shipping\_%')
  AND user_id NOT IN (SELECT ID FROM wp_users WHERE user_email LIKE '%@agency.example');

UPDATE wp_comments SET
    comment_author = 'Somebody',
    comment_author_email = 'somebody@example.invalid',
    comment_author_url = '',
    comment_author_IP = '',
    comment_agent = ''
WHERE user_id NOT IN (SELECT ID FROM wp_users WHERE user_email LIKE '%@agency.example');

-- WordPress's caches, the transients, are rows of the options.
DELETE FROM wp_options WHERE option_name LIKE '\_transient\_%' OR option_name LIKE '\_site\_transient\_%';

-- No mail to the people of Live, and nobody indexes a copy.
UPDATE wp_options SET option_value = 'admin@example.invalid' WHERE option_name IN ('admin_email', 'new_admin_email');
UPDATE wp_options SET option_value = '0' WHERE option_name = 'blog_public';

-- What plugins keep of people: uncomment those that the site has.
-- WooCommerce with orders as posts, and with its own tables:
-- UPDATE wp_postmeta SET meta_value = '' WHERE meta_key LIKE '\_billing\_%' OR meta_key LIKE '\_shipping\_%' OR meta_key = '_customer_ip_address';
-- UPDATE wp_wc_orders SET billing_email = CONCAT('order', id, '@example.invalid'), ip_address = '', user_agent = '';
-- UPDATE wp_wc_order_addresses SET first_name = '', last_name = '', company = '', address_1 = '', address_2 = '', phone = '', email = CONCAT('order', order_id, '@example.invalid');
-- UPDATE wp_wc_customer_lookup SET username = '', first_name = '', last_name = '', email = '', postcode = '', city = '', state = '';
-- Gravity Forms, Flamingo:
-- DELETE FROM wp_gf_entry_meta; DELETE FROM wp_gf_entry; DELETE FROM wp_posts WHERE post_type = 'flamingo_inbound';
