-- One row per click id: a parameter that an ad platform adds to the address of the page that a click opens.
-- key: parameter
-- not null: source, medium
-- column parameter: the parameter's name in the address
-- column source: the source of the click, where no tag names one
-- column medium: the medium of the click, where no tag names one
select parameter, source, medium
from (
    values
    ('gclid', 'google', 'cpc'),
    ('gbraid', 'google', 'cpc'),
    ('wbraid', 'google', 'cpc'),
    ('dclid', 'google', 'display'),
    ('msclkid', 'bing', 'cpc'),
    ('yclid', 'yandex', 'cpc'),
    ('ttclid', 'tiktok', 'cpc'),
    ('twclid', 'twitter', 'cpc'),
    ('rdt_cid', 'reddit', 'cpc'),
    ('li_fat_id', 'linkedin', 'cpc'),
    ('ScCid', 'snapchat', 'cpc'),
    -- Facebook marks every link that leads out, advertisement or not: the id tells where from, not that it was paid.
    ('fbclid', 'facebook', 'social')
) as click_ids (parameter, source, medium)
